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
		"redis://a,b:6380,[::1],[::1]:6380/1", "redis://user:a,b@a,b?db=2", "redis://a:26379,b/1?master_name=main",
		"rediss://user:secret@a,b?master_name=main&sentinel_username=asker&sentinel_password=a%26b", "redis://a?master_name=main&sentinel_password=b",
	} {
		if err := redis.CheckURL(good); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
	for _, bad := range []string{
		"", "localhost", "localhost:6379", "http://hunter2@localhost", "redis://", "redis:///1", "redis://:hunter2@host:port",
		"redis://hunter2@host:0", "redis://hunter2@host/one", "redis://hunter2@host/1/2", "redis://hunter2@host/-1", "redis://u:hunter2@%zz", "unix:///hunter2",
		"redis://:hunter2@a,", "redis://:hunter2@,a", "redis://:hunter2@a,b:0", "redis://:hunter2@a:1:2,b", "redis://:hunter2@a,b c", "redis://:hunter2@a,u@b,c/d",
		"redis://:hunter2@a,b/1#2",
	} {
		if err := redis.CheckURL(bad); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// TestCheckURL_Sentinels: errors about the parameters for Sentinels name the one that is wrong.
func TestCheckURL_Sentinels(t *testing.T) {
	for url, want := range map[string]string{
		"redis://a,b?master_name=":                                    "an empty master_name",
		"redis://a,b?sentinel_password=hunter2":                       "without master_name",
		"redis://a,b?master_name=main&sentinel_username=hunter2":      "without sentinel_password",
		"redis://a,b?master_name=main&addr=c":                         "master_name, max_retries",
		"redis://a,b?master_name=main&sentinel_password=hunter2&skip": "unknown parameter",
	} {
		if err := redis.CheckURL(url); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", url, err)
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
	f.Add("redis://:hunter2@a:1,[::1]:2/1?master_name=main&sentinel_password=hunter2")
	f.Fuzz(func(t *testing.T, text string) {
		if err := redis.CheckURL(text); err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("error %q tells the password", err)
		}
	})
}
