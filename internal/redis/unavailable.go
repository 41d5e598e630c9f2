package redis

import (
	"errors"
	"io"
	"net"
	"os"
	"strings"

	"github.com/redis/rueidis"

	"rollcall/internal/clienttls"
)

// errNotListening is returned while there is no connection for messages.
var errNotListening = errors.New("there is no connection to Redis for messages")

// Unavailable reports whether err means that Redis cannot be reached or cannot be used for the
// moment, and the command is not the cause: the same call may succeed later.
func Unavailable(err error) bool {
	if _, ok := errors.AsType[*NoPrimaryError](err); ok {
		return true
	}
	if refused, ok := errors.AsType[*rueidis.RedisError](err); ok {
		return passes(refused.Error())
	}
	if _, ok := errors.AsType[*net.OpError](err); ok {
		return true
	}
	if _, ok := errors.AsType[*clienttls.ConnectError](err); ok {
		return true
	}
	for _, target := range []error{
		rueidis.ErrClosing, rueidis.ErrNoSlot, errNotListening, io.EOF, io.ErrUnexpectedEOF, net.ErrClosed, os.ErrDeadlineExceeded,
	} {
		if errors.Is(err, target) {
			return true
		}
	}
	return false
}

// problems are the meanings of error replies for operators, by their first word.
var problems = map[string]string{
	"CLUSTERDOWN": "the Redis Cluster lacks masters",
	"TRYAGAIN":    "the Redis Cluster is moving data between masters",
	"READONLY":    "Redis is read-only",
	"OOM":         "Redis is out of memory",
	"MISCONF":     "Redis cannot save its data",
	"NOREPLICAS":  "Redis has too few replicas",
	"LOADING":     "Redis is loading its data",
	"MASTERDOWN":  "Redis is a replica without its primary",
	"BUSY":        "Redis is busy with a script",
}

// Problem describes the error of a change in a few words. It returns "" for nil.
func Problem(err error) string {
	if err == nil {
		return ""
	}
	if _, ok := errors.AsType[*NoPrimaryError](err); ok {
		return "Redis has no primary"
	}
	if errors.Is(err, rueidis.ErrNoSlot) {
		return problems["CLUSTERDOWN"]
	}
	refused, ok := errors.AsType[*rueidis.RedisError](err)
	if !ok {
		return "Redis does not respond"
	}
	if problem, ok := problems[firstWord(refused.Error())]; ok {
		return problem
	}
	return "Redis refuses changes"
}

// refusesAsReplica reports whether err is the refusal of a change by a replica.
func refusesAsReplica(err error) bool {
	refused, ok := errors.AsType[*rueidis.RedisError](err)
	return ok && firstWord(refused.Error()) == "READONLY"
}

// firstWord returns the first word of an error reply, which is its kind.
func firstWord(reply string) string {
	word, _, _ := strings.Cut(reply, " ")
	return word
}

// passes reports whether an error reply is from a server that refuses commands for the moment.
// Before Redis 7, a script's error contains the reply of its command after a minus sign.
func passes(reply string) bool {
	if _, inner, ok := strings.Cut(reply, ": -"); ok && strings.HasPrefix(reply, "ERR Error running script") {
		reply = inner
	}
	switch firstWord(reply) {
	case "ASK", // the slot is being moved, and the key is at another node
		"BUSY", // a script runs for too long
		"CLUSTERDOWN",
		"LATE",       // a script of presence that waited for too long
		"LOADING",    // the data is being read at the start
		"MASTERDOWN", // a replica without its primary
		"MISCONF",    // snapshots fail, so writes are refused
		"MOVED",      // the slot is at another node now
		"NOREPLICAS", // too few replicas for a write
		"OOM",        // maxmemory is reached
		"READONLY",   // a replica
		"TRYAGAIN",   // the slot is being moved
		"UNBLOCKED":  // the primary has become a replica
		return true
	}
	return strings.HasPrefix(reply, "ERR max number of clients reached")
}
