package redis_test

import (
	"strings"
	"testing"

	"rollcall/internal/redis"
	"rollcall/internal/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

func TestCheckURL(t *testing.T) {
	for _, good := range []string{
		"redis://localhost", "redis://localhost:6379", "redis://:secret@10.0.0.1:6379/15", "rediss://user:secret@redis.example:6380/0",
	} {
		if err := redis.CheckURL(good); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
	for _, bad := range []string{
		"", "localhost", "localhost:6379", "http://hunter2@localhost", "redis://", "redis:///1", "redis://:hunter2@host:port",
		"redis://hunter2@host:0", "redis://hunter2@host/one", "redis://hunter2@host/1/2", "redis://hunter2@host/-1", "redis://u:hunter2@%zz", "unix:///hunter2",
	} {
		if err := redis.CheckURL(bad); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestOpen_ErrorsHaveNoPassword(t *testing.T) {
	_, err := redis.Open("redis://ann:hunter2@127.0.0.1:1/7")
	if err == nil || !strings.Contains(err.Error(), "redis://ann@127.0.0.1:1/7") || strings.Contains(err.Error(), "hunter2") {
		t.Fatalf("an unreachable Redis: %v", err)
	}
}

// FuzzCheckURL: no URL makes the parser panic, and no error repeats what could be a password.
func FuzzCheckURL(f *testing.F) {
	f.Add("redis://ann:hunter2@redis.example:6380/1")
	f.Add("rediss://:hunter2@[::1]:6379?db=1&tls=x")
	f.Add("redis://hunter2@host:0/%zz")
	f.Fuzz(func(t *testing.T, text string) {
		if err := redis.CheckURL(text); err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("error %q tells the password", err)
		}
	})
}
