# usage: sh -c "$script" guard FOLDER SERVER [ARGUMENT…]
# Runs the server until standard input closes, which the kernel does for a process
# that ends in any way, then removes its folder. Ends too if the server does.
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
