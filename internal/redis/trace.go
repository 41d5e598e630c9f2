package redis

import (
	"context"

	"github.com/redis/rueidis"

	"rollcall/internal/tracing"
)

// traced is a client whose commands have spans with their names. Their arguments are not recorded.
type traced struct{ rueidis.Client }

// Do implements rueidis.Client.
func (t traced) Do(ctx context.Context, command rueidis.Completed) rueidis.RedisResult {
	if !tracing.On(ctx) {
		return t.Client.Do(ctx, command)
	}
	ctx, span := tracing.BeginCall(ctx, nameOf(command))
	span.Text("db.system.name", "redis")
	result := t.Client.Do(ctx, command)
	endSpan(span, result.Error())
	return result
}

// DoMulti implements rueidis.Client.
func (t traced) DoMulti(ctx context.Context, commands ...rueidis.Completed) []rueidis.RedisResult {
	if !tracing.On(ctx) || len(commands) == 0 {
		return t.Client.DoMulti(ctx, commands...)
	}
	ctx, span := tracing.BeginCall(ctx, "PIPELINE "+nameOf(commands[0]))
	span.Text("db.system.name", "redis")
	span.Number("db.operation.batch.size", len(commands))
	results := t.Client.DoMulti(ctx, commands...)
	var err error
	for _, result := range results {
		if err = result.Error(); err != nil {
			break
		}
	}
	endSpan(span, err)
	return results
}

// nameOf returns the name of a command. It must be called before the command is sent, which releases
// its memory.
func nameOf(command rueidis.Completed) string { return command.Commands()[0] }

// endSpan ends the span of a command. A key that does not exist is no failure.
func endSpan(span *tracing.Span, err error) {
	if rueidis.IsRedisNil(err) {
		err = nil
	}
	span.End(err)
}
