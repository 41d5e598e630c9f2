package redis

import (
	"errors"
	"testing"
)

// TestPasses has replies that are hard to get from a real server.
func TestPasses(t *testing.T) {
	for reply, want := range map[string]bool{
		"ERR unknown command 'X'": false,
		"WRONGTYPE Operation against a key holding the wrong kind of value":                 false,
		"NOAUTH Authentication required.":                                                   false,
		"LOADING Redis is loading the dataset in memory":                                    true,
		"MISCONF Redis is configured to save RDB snapshots":                                 true,
		"CLUSTERDOWN The cluster is down":                                                   true,
		"BUSY Redis is busy running a script.":                                              true,
		"ERR max number of clients reached":                                                 true,
		"ERR Error running script (call to f_1): @user_script:1: -READONLY You can't write": true,
		"ERR Error running script (call to f_1): @user_script:1: -ERR wrong":                false,
	} {
		if got := passes(reply); got != want {
			t.Errorf("passes(%q) = %t, want %t", reply, got, want)
		}
	}
	if Unavailable(nil) || Unavailable(errors.New("a bug")) {
		t.Error("what is no outage is taken for one")
	}
}
