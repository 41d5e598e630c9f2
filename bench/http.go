//go:build linux

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"reflect"
	"strings"
	"time"

	"rollcall/bench/kit"
)

// operation is a document, with a source of variables, that the contenders execute over HTTP.
type operation struct {
	prefix    string // of the body, up to the variables
	variables func() (variables string, want []byte)
}

// newOperation returns the operation of a document. variables returns the variables of the next
// request as JSON, and what the body of a right response contains.
func newOperation(query string, variables func() (variables string, want []byte)) operation {
	return operation{prefix: fmt.Sprintf(`{"query":%q,"variables":`, query), variables: variables}
}

// body returns the body of the next request, and what the body of a right response contains.
func (o operation) body() (body string, want []byte) {
	variables, want := o.variables()
	return o.prefix + variables + "}", want
}

// contender is one of the programs that serve the same requests.
type contender struct {
	process *kit.Process
	debug   kit.Debug
	address string
	token   string
	operation
}

func contenderServer(s *kit.Server, token string, o operation) contender {
	return contender{s.Process, s.Debug, s.Address, token, o}
}

func contenderFloor(f *kit.Floor, token string, o operation) contender {
	return contender{f.Process, f.Debug, f.Address, token, o}
}

// dial opens connections that send requests continuously.
func (c contender) dial(connections int) (*kit.HTTPLoad, error) {
	head := fmt.Sprintf("POST /graphql HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nAuthorization: Bearer %s\r\nContent-Length: ",
		c.address, c.token)
	return kit.DialHTTP(c.address, connections, func(dst []byte) (request, want []byte) {
		body, want := c.body()
		return append(fmt.Appendf(append(dst, head...), "%d\r\n\r\n", len(body)), body...), want
	})
}

// ask sends one request and returns the response's body.
func (c contender) ask(ctx context.Context, body string) (any, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+c.address+"/graphql", strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+c.token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	var answer any
	if err := json.Unmarshal(text, &answer); err != nil {
		return nil, fmt.Errorf("%s: response %s %q", body, resp.Status, text)
	}
	return answer, nil
}

// contest compares contenders: the server first, then its floor, then the others.
type contest struct {
	lab         *kit.Lab
	connections int
	rounds      int
	// database is true if the contenders use the lab's MariaDB.
	database   bool
	contenders []contender
}

// agreed is how many requests must get equal responses from all contenders before they are
// measured.
const agreed = 200

// agree checks that all contenders do the same work.
func (c contest) agree(ctx context.Context) error {
	for range agreed {
		body, _ := c.contenders[0].body()
		var first any
		for i, one := range c.contenders {
			answer, err := one.ask(ctx, body)
			switch {
			case err != nil:
				return err
			case i == 0:
				first = answer
			case !reflect.DeepEqual(answer, first):
				return fmt.Errorf("%s: response %v of the server and %v of program %d", body, first, answer, i)
			}
		}
	}
	return nil
}

// httpSlice has the measurements of a load and its cost.
type httpSlice struct {
	kit.HTTPSample
	server, database, generator time.Duration
	queries                     int
	allocations                 int64
}

// each divides whole by the number of requests.
func (s httpSlice) each(whole float64) float64 { return whole / float64(s.Requests) }

// run measures the contenders in shuffled slices.
func (c contest) run(ctx context.Context) ([][]httpSlice, error) {
	slices := make([]func() (httpSlice, error), len(c.contenders))
	for i, one := range c.contenders {
		load, err := one.dial(c.connections)
		if err != nil {
			return nil, err
		}
		defer load.Close()
		slices[i] = func() (httpSlice, error) { return c.slice(ctx, one, load) }
	}
	return kit.Rounds(ctx, kit.Pick(c.lab, c.rounds, 2), slices...)
}

// slice loads a contender for a second.
func (c contest) slice(ctx context.Context, one contender, load *kit.HTTPLoad) (s httpSlice, err error) {
	before, err := c.spent(ctx, one)
	if err != nil {
		return s, err
	}
	sample, err := load.Run(kit.Pick(c.lab, time.Second, time.Second/5))
	if err != nil {
		return s, one.process.Wrap(err)
	}
	return c.since(ctx, one, before, sample)
}

// since returns a load's measurements and what it has cost since before.
func (c contest) since(ctx context.Context, one contender, before httpSlice, sample kit.HTTPSample) (httpSlice, error) {
	s, err := c.spent(ctx, one)
	s.HTTPSample = sample
	s.server -= before.server
	s.database -= before.database
	s.generator -= before.generator
	s.queries -= before.queries
	s.allocations -= before.allocations
	return s, err
}

// spent reads all clocks and counters.
func (c contest) spent(ctx context.Context, one contender) (s httpSlice, err error) {
	if s.generator, err = kit.CPU(os.Getpid()); err != nil {
		return s, err
	}
	if s.server, err = one.process.CPU(); err != nil {
		return s, err
	}
	if s.allocations, err = one.debug.Allocations(ctx); err != nil || !c.database {
		return s, err
	}
	if s.database, err = c.lab.DatabaseCPU(); err != nil {
		return s, err
	}
	s.queries, err = c.lab.DatabaseQueries(ctx)
	return s, err
}

// The figures of a slice.
func perSecond(s httpSlice) float64   { return s.PerSecond() }
func serverCPU(s httpSlice) float64   { return s.each(float64(s.server)) }
func databaseCPU(s httpSlice) float64 { return s.each(float64(s.database)) }
func queries(s httpSlice) float64     { return s.each(float64(s.queries)) }
func allocations(s httpSlice) float64 { return s.each(float64(s.allocations)) }

// all formats a figure of every contender.
func all(rounds [][]httpSlice, value func(httpSlice) float64, write func(float64) string) string {
	texts := make([]string, len(rounds[0]))
	for i := range texts {
		texts[i] = write(kit.Median(rounds, i, value))
	}
	return strings.Join(texts, " / ")
}

// figure returns the table's line of a contest whose goal is a ratio of requests per second. stock
// names the contenders after the floor.
func (c contest) figure(rounds [][]httpSlice, work string, goal float64, stock ...string) kit.Figure {
	ratio := kit.Compare(rounds, ours, theFloor, perSecond)
	f := kit.Figure{
		Work:        work,
		Goal:        fmt.Sprintf("≥ %.2f", goal),
		Met:         kit.AtLeast(ratio.Median, goal),
		Ours:        fmt.Sprintf("%.0f/s", kit.Median(rounds, ours, perSecond)),
		Floor:       fmt.Sprintf("%.0f/s", kit.Median(rounds, theFloor, perSecond)),
		Ratio:       ratio.String(),
		CPU:         all(rounds, serverCPU, kit.Micros),
		Allocations: all(rounds, allocations, kit.Count),
	}
	for i, name := range stock {
		ratio := kit.Compare(rounds, theStock+i, theFloor, perSecond).Median
		f.Stock += strings.TrimSpace(fmt.Sprintf("%s %.2f", name, ratio))
		if i < len(stock)-1 {
			f.Stock += ", "
		}
	}
	notes := []string{
		"p50 " + all(rounds, func(s httpSlice) float64 { return float64(s.P50) }, kit.Millis),
		"p99 " + all(rounds, func(s httpSlice) float64 { return float64(s.P99) }, kit.Millis),
		"the load generator's CPU " + kit.Micros(kit.Median(rounds, ours, func(s httpSlice) float64 { return s.each(float64(s.generator)) })),
	}
	if c.database {
		f.Queries = all(rounds, queries, kit.Hundredths)
		notes = append(notes, "MariaDB's CPU "+all(rounds, databaseCPU, kit.Micros))
	}
	f.Note = strings.Join(notes, "; ")
	return f
}
