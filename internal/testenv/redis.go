package testenv

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"rollcall/internal/redis"
)

// RedisVariable is the environment variable that has the run's Redis server as a ROLLCALL_REDIS_URL
// without a database.
const RedisVariable = "ROLLCALL_TEST_REDIS"

// RedisProgramVariable is the environment variable that has the path of the server that the tests run
// instead of the installed Redis, such as Valkey's. See `make test-valkey`.
const RedisProgramVariable = "ROLLCALL_TEST_REDIS_SERVER"

// portAttempts is how many ports are tried: another process may take a free port before the server
// starts.
const portAttempts = 5

// Redis is a running server without persistence, on a port of its own of the loopback interface.
type Redis struct {
	port   int
	bus    int // the port for the other members of a cluster
	guard  *exec.Cmd
	leash  io.Closer     // the guard's standard input; closing it ends the server
	exited chan struct{} // closed when the guard, and so the server, has ended
	stop   sync.Once
}

// StartRedis starts a server and returns once it accepts connections. It runs until Stop, or until
// this process ends, even by SIGKILL.
func StartRedis() (*Redis, error) {
	return startOnFreePort(func(port int) (*Redis, error) { return StartRedisOn(port) })
}

func startOnFreePort(start func(port int) (*Redis, error)) (server *Redis, err error) {
	for range portAttempts {
		var port int
		if port, err = freePort(); err != nil {
			return nil, err
		}
		if server, err = start(port); err == nil {
			return server, nil
		}
	}
	return nil, err
}

// StartRedisOn is StartRedis on that port. After Stop, it starts a server that is empty. Further
// arguments of redis-server override the others; with "--dir" and a folder of the test, the data
// stays there.
func StartRedisOn(port int, args ...string) (*Redis, error) {
	return startRedis(port, serverArgs(port, args...), func(ctx context.Context, r *Redis) error {
		client, err := redis.Open(r.URL())
		if err != nil {
			return err
		}
		defer client.Close()
		return client.Writable(ctx)
	})
}

// serverArgs returns the arguments of a server without persistence, followed by further ones.
func serverArgs(port int, further ...string) func(dir string) ([]string, error) {
	return func(dir string) ([]string, error) {
		return append([]string{"--bind", "127.0.0.1", "--port", strconv.Itoa(port), "--dir", dir, "--save", "", "--appendonly", "no"}, further...), nil
	}
}

// startRedis starts redis-server with the arguments that args returns for a folder of its own, and
// returns once responds returns nil.
func startRedis(port int, args func(dir string) ([]string, error), responds func(context.Context, *Redis) error) (*Redis, error) {
	program, err := redisProgram()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "rollcall-redis-")
	if err != nil {
		return nil, fmt.Errorf("making a folder for Redis: %w", err)
	}
	words, err := args(dir)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	server := &Redis{port: port, exited: make(chan struct{})}
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	defer log.Close()
	server.guard = exec.Command("/bin/sh", append([]string{"-c", guardScript, "guard", dir, program}, words...)...)
	server.guard.Stdout, server.guard.Stderr = log, log
	server.guard.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if server.leash, err = server.guard.StdinPipe(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	if err := server.guard.Start(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	go func() {
		defer close(server.exited)
		_ = server.guard.Wait()
	}()
	if err := server.ready(responds); err != nil {
		said, _ := io.ReadAll(io.NewSectionReader(log, 0, logShown)) // for the message only
		server.Stop()
		return nil, fmt.Errorf("starting Redis: %w\n%s", err, said)
	}
	return server, nil
}

func redisProgram() (string, error) {
	if program := os.Getenv(RedisProgramVariable); program != "" {
		return program, nil
	}
	return lookProgram("redis-server")
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("looking for a free port: %w", err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// ready waits until responds returns nil.
func (r *Redis) ready(responds func(context.Context, *Redis) error) error {
	for deadline := time.Now().Add(startTimeout); ; {
		err := responds(context.Background(), r)
		if err == nil {
			return nil
		}
		select {
		case <-r.exited:
			return errors.New("the server ended at once")
		case <-time.After(pollInterval):
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("no answer within %s: %w", startTimeout, err)
		}
	}
}

// Address returns the address of the server.
func (r *Redis) Address() string { return "127.0.0.1:" + strconv.Itoa(r.port) }

// Port returns the server's port.
func (r *Redis) Port() int { return r.port }

// URL returns the server's ROLLCALL_REDIS_URL.
func (r *Redis) URL() string { return "redis://" + r.Address() }

// Pause freezes the server until Resume: connections stay open, and it does not respond.
func (r *Redis) Pause() error { return r.signal(syscall.SIGSTOP) }

// Resume ends Pause.
func (r *Redis) Resume() error { return r.signal(syscall.SIGCONT) }

// signal sends a signal to the server and its guard.
func (r *Redis) signal(s syscall.Signal) error {
	if err := syscall.Kill(-r.guard.Process.Pid, s); err != nil {
		return fmt.Errorf("sending %s to Redis: %w", s, err)
	}
	return nil
}

// Stop kills the server. It may be called more than once.
func (r *Redis) Stop() {
	r.stop.Do(func() {
		_ = r.leash.Close()
		_ = r.Resume() // a paused guard kills nothing; this fails if the server has ended by itself
	})
	<-r.exited
}

// RedisClusterVariable is the environment variable that, if not empty, makes RedisURL return the URL of
// a Redis Cluster. Tests that need a single server skip; see NeedSingleRedis.
const RedisClusterVariable = "ROLLCALL_TEST_REDIS_CLUSTER"

// NeedSingleRedis skips a test if RedisURL returns the URL of a cluster. Tests call it that reach the
// server through a proxy, or directly.
func NeedSingleRedis(tb testing.TB) {
	tb.Helper()
	if os.Getenv(RedisClusterVariable) != "" {
		tb.Skip(RedisClusterVariable + " is set")
	}
}

// ownRedis is the server of this process, used if the environment names none.
var ownRedis struct {
	once sync.Once
	url  string
	stop func()
	err  error
}

func startOwnRedis() {
	own := &ownRedis
	if os.Getenv(RedisClusterVariable) != "" {
		var c *RedisCluster
		if c, own.err = StartRedisCluster(3, 0); own.err == nil {
			own.url, own.stop = c.URL(), c.Stop
		}
		return
	}
	var server *Redis
	if server, own.err = StartRedis(); own.err == nil {
		own.url, own.stop = server.URL(), server.Stop
	}
}

// RedisURL returns the URL of a Redis server that tests share.
func RedisURL(tb testing.TB) string {
	tb.Helper()
	NeedServer(tb)
	if url := os.Getenv(RedisVariable); url != "" && os.Getenv(RedisClusterVariable) == "" {
		return url
	}
	ownRedis.once.Do(startOwnRedis)
	if ownRedis.err != nil {
		tb.Fatal(ownRedis.err)
	}
	return ownRedis.url
}

// RedisBucketsVariable is the environment variable that, if not empty, makes OpenRedis return a client
// whose Parts are several on a single server too.
const RedisBucketsVariable = "ROLLCALL_TEST_REDIS_BUCKETS"

// OpenRedis returns a client for a service that no other test uses on the server of that URL. It is
// closed when the test ends.
func OpenRedis(tb testing.TB, url, service string) *redis.Client {
	tb.Helper()
	client, err := redis.Open(url)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(client.Close)
	if os.Getenv(RedisBucketsVariable) != "" {
		client = client.Divided()
	}
	return client.Within(service)
}

// Service returns a unique name for OpenRedis.
func Service() string { return rand.Text() }
