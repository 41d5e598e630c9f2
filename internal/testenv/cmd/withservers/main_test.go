package main

import (
	"bufio"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"rollcall/internal/testenv"
)

// asCommand is the environment variable that makes the test binary behave as the command itself.
const asCommand = "ROLLCALL_WITHSERVERS"

func TestMain(m *testing.M) {
	if os.Getenv(asCommand) != "" {
		main()
	}
	os.Exit(m.Run())
}

func withservers(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	testenv.NeedServer(t)
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe, args...)
	cmd.Env = append(os.Environ(), asCommand+"=1", testenv.ServerVariable+"=")
	cmd.Stderr = os.Stderr
	return cmd
}

func TestCommandGetsServerAndGivesItsStatus(t *testing.T) {
	// The socket exists while the command runs, and its folder is gone afterwards.
	cmd := withservers(t, "--", "sh", "-c",
		`url=$ROLLCALL_TEST_MYSQL; socket=${url#*unix(}; socket=${socket%)/}; echo "$socket"; test -S "$socket" && exit 7`)
	output, err := cmd.Output()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 7 {
		t.Fatalf("ended with %v, want status 7; it printed %q", err, output)
	}
	requireNoFile(t, strings.TrimSpace(string(output)))
}

func TestGeneralLog_OutlivesServer(t *testing.T) {
	path := filepath.Join(t.TempDir(), "general.log")
	cmd := withservers(t, "true")
	cmd.Env = append(cmd.Env, testenv.GeneralLogVariable+"="+path, testenv.TiDBVariable+"=")
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	log, err := os.ReadFile(path)
	if err != nil || !strings.Contains(string(log), "Connect\troot@localhost") {
		t.Errorf("the log has no connection: %v\n%s", err, log)
	}
}

func TestSignalEndsCommandThenServer(t *testing.T) {
	cmd := withservers(t, "--", "sh", "-c",
		`trap 'exit 9' TERM; url=$ROLLCALL_TEST_MYSQL; socket=${url#*unix(}; echo "${socket%)/}"; while :; do sleep 0.05; done`)
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	socket, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	var exit *exec.ExitError
	if err := cmd.Wait(); !errors.As(err, &exit) || exit.ExitCode() != 9 {
		t.Errorf("ended with %v, want the command's status 9", err)
	}
	requireNoFile(t, strings.TrimSpace(socket))
}

func TestStatuses(t *testing.T) {
	for _, test := range []struct {
		name string
		args []string
		want int
	}{
		{"no command", []string{"--"}, exitUsage},
		{"unknown command", []string{"--", "/does/not/exist"}, exitNotRun},
		{"command ended by a signal", []string{"--", "sh", "-c", "kill -KILL $$"}, exitBySignalOf + int(syscall.SIGKILL)},
		{"success", []string{"true"}, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			cmd := withservers(t, test.args...)
			cmd.Stderr = nil // it prints the reason, which is not needed here
			_ = cmd.Run()    // the test checks the status instead
			if got := cmd.ProcessState.ExitCode(); got != test.want {
				t.Errorf("status %d, want %d", got, test.want)
			}
		})
	}
}

func requireNoFile(t *testing.T, path string) {
	t.Helper()
	if path == "" {
		t.Fatal("the command received no server")
	}
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Errorf("%s is still there: %v", path, err)
	}
}
