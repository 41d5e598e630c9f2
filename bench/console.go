//go:build linux

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"rollcall/bench/kit"
)

// console is row 11: what an operator loads, and how long that takes. It loads an app's overview,
// which is the first page, and the list of its 100 000 users, on SQLite. There is no floor.
var console = row{name: "console", number: 11, run: runConsole}

// operatorPassword is the password of the operator.
const operatorPassword = "an operator of the bench"

func runConsole(ctx context.Context, lab *kit.Lab) ([]kit.Figure, error) {
	users := kit.Pick(lab, 100_000, 2_000)
	dir, err := lab.Dir()
	if err != nil {
		return nil, err
	}
	database := "sqlite:" + filepath.Join(dir, "rollcall.db")
	key, err := consoleWorld(ctx, lab, database, users)
	if err != nil {
		return nil, err
	}
	server, err := lab.Serve(ctx, database)
	if err != nil {
		return nil, err
	}
	defer server.Stop()
	visitor, err := newVisitor(ctx, "http://"+server.Address)
	if err != nil {
		return nil, err
	}
	var figures []kit.Figure
	app := "/console/apps/" + key
	for _, page := range []struct {
		name, path string
		// asked are the parts that the page requests by itself as soon as it is loaded.
		asked []string
	}{
		{"overview", app, []string{app + "/charts?zone=Asia%2FShanghai"}},
		{"list of users", app + "/users", nil},
	} {
		lab.Log("the %s", page.name)
		size, files, err := visitor.weigh(ctx, page.path, page.asked)
		if err != nil {
			return nil, err
		}
		took, err := visitor.time(ctx, page.path, kit.Pick(lab, 200, 20))
		if err != nil {
			return nil, err
		}
		p50 := float64(took[len(took)/2])
		figures = append(figures,
			kit.Figure{
				Work: fmt.Sprintf("the console's %s of %d users, SQLite", page.name, users), Goal: "≤ 50 ms",
				Met:  kit.AtMost(p50, float64(50*time.Millisecond)),
				Ours: kit.Millis(p50),
				Note: "p50, one after the other; p99 " + kit.Millis(float64(took[len(took)*99/100])),
			},
			kit.Figure{
				Work: "the same, loaded for the first time", Goal: "≤ 100 KB",
				Met:  kit.AtMost(float64(size), 100_000),
				Ours: fmt.Sprintf("%.1f KB", float64(size)/1000),
				Note: fmt.Sprintf("bytes on the network, headers included: the page, what it requests by itself, and %d files, which the browser then caches", files),
			})
	}
	return figures, nil
}

// consoleWorld creates an operator, and an app with users.
func consoleWorld(ctx context.Context, lab *kit.Lab, database string, users int) (key string, err error) {
	binary, err := lab.Build(ctx)
	if err != nil {
		return "", err
	}
	run := func(input string, args ...string) ([]byte, error) {
		cmd := exec.CommandContext(ctx, binary, append(args, "--database-url", database)...)
		cmd.Env = slices.DeleteFunc(os.Environ(), func(entry string) bool { return strings.HasPrefix(entry, "ROLLCALL_") })
		cmd.Stdin = strings.NewReader(input)
		out, err := cmd.Output()
		if err != nil {
			return nil, fmt.Errorf("rollcall %s: %w", strings.Join(args, " "), err)
		}
		return out, nil
	}
	if _, err := run(operatorPassword, "operator", "create", "bench", "--role", "admin"); err != nil {
		return "", err
	}
	out, err := run("", "app", "create", "--name", "bench", "--environment", "production", "--edition", "flagship", "--json")
	if err != nil {
		return "", err
	}
	var app struct{ Key string }
	if err := json.Unmarshal(out, &app); err != nil {
		return "", fmt.Errorf("reading the app: %w", err)
	}
	lab.Log("making %d users", users)
	_, err = run("", "seed", "--app", app.Key, "--users", fmt.Sprint(users))
	return app.Key, err
}

// visitor loads pages like a browser with an operator's session, over one connection and with
// compressed responses.
type visitor struct {
	base   string
	client *http.Client
	// received counts the bytes that arrived over the network.
	received atomic.Int64
}

func newVisitor(ctx context.Context, base string) (*visitor, error) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return nil, err
	}
	v := &visitor{base: base}
	v.client = &http.Client{Jar: jar, Transport: &http.Transport{
		MaxConnsPerHost: 1,
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
			return countingConn{conn, &v.received}, err
		},
		DisableCompression: true, // weigh sends Accept-Encoding itself
	}}
	login := url.Values{"name": {"bench"}, "password": {operatorPassword}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, base+"/console/login", strings.NewReader(login.Encode()))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := v.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.Request.URL.Path != "/console/" {
		return nil, fmt.Errorf("the login redirects to %s", resp.Request.URL)
	}
	_, err = io.Copy(io.Discard, resp.Body)
	return v, err
}

// countingConn counts the bytes that are read from it.
type countingConn struct {
	net.Conn
	received *atomic.Int64
}

// Read reads and counts.
func (c countingConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.received.Add(int64(n))
	return n, err
}

// get loads one address, compressed if the server does that.
func (v *visitor) get(ctx context.Context, path string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, v.base+path, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept-Encoding", "gzip")
	resp, err := v.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s responds with %s", path, resp.Status)
	}
	return io.ReadAll(resp.Body)
}

var assets = regexp.MustCompile(`(?:href|src)="(/console/static/[^"]+)"`)

// weigh returns how many bytes a browser without a cache receives for a page and for what the page
// requests by itself, and how many other files are among them.
func (v *visitor) weigh(ctx context.Context, path string, asked []string) (size int64, files int, err error) {
	before := v.received.Load()
	page, err := v.get(ctx, path)
	if err != nil {
		return 0, 0, err
	}
	var wanted []string
	for _, match := range assets.FindAllSubmatch(page, -1) {
		wanted = append(wanted, string(match[1]))
	}
	slices.Sort(wanted)
	wanted = slices.Compact(wanted)
	if len(wanted) == 0 {
		return 0, 0, fmt.Errorf("%s refers to no file", path)
	}
	for _, address := range append(asked, wanted...) {
		if _, err := v.get(ctx, address); err != nil {
			return 0, 0, err
		}
	}
	return v.received.Load() - before, len(wanted), nil
}

// time returns how long each of n loads of a page took, in ascending order.
func (v *visitor) time(ctx context.Context, path string, n int) ([]time.Duration, error) {
	took := make([]time.Duration, n)
	for i := range took {
		begun := time.Now()
		if _, err := v.get(ctx, path); err != nil {
			return nil, err
		}
		took[i] = time.Since(begun)
	}
	slices.Sort(took)
	return took, nil
}
