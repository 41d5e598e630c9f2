package once

import (
	"context"
	_ "embed"
	"fmt"
	"strconv"

	"github.com/redis/rueidis"

	"rollcall/internal/redis"
)

var (
	//go:embed want.lua
	wantLua    string
	wantScript = rueidis.NewLuaScript(wantLua)
)

// Want asks for a run that begins from now on. It does not wait, and is in force even if this node dies:
// any node that looks at Wanted may do the work. Without Redis it does nothing.
func (w *Work) Want(ctx context.Context) error {
	if w.redis == nil {
		return nil
	}
	_, err := w.script(ctx, wantScript, "", 0)
	return err
}

// Wanted reports whether no run has succeeded since the last call of Want at any node, or none at all.
// Without Redis it always reports true.
func (w *Work) Wanted(ctx context.Context) (bool, error) {
	if w.redis == nil {
		return true, nil
	}
	ctx, cancel := context.WithTimeout(ctx, redis.OperationTimeout)
	defer cancel()
	runs := w.redis.B().Hmget().Key(w.redis.Key("once:"+w.name+":runs")).Field("done", "wanted").Build()
	fields, err := w.redis.Do(ctx, runs).AsStrSlice()
	if err != nil {
		return false, fmt.Errorf("reading whether %q is wanted: %w", w.name, err)
	}
	// A missing number is 0.
	done, _ := strconv.ParseInt(fields[0], 10, 64)
	wanted, _ := strconv.ParseInt(fields[1], 10, 64)
	return done <= wanted, nil
}
