# usage: sh -c "$script" guard FOLDER SERVER [ARGUMENT…]
# Runs the server until standard input closes, then removes its folder. The kernel closes it when the
# process at its other end exits for any reason. The guard also ends if the server does.
dir=$1
shift
exec 3<&0
"$@" </dev/null 3<&- &
server=$!
{
	read -r _ <&3
	kill -KILL "$server"
} &
watch=$!
wait "$server"
kill "$watch" 2>/dev/null
rm -rf "$dir"
