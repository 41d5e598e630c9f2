// Package floor holds the floors: for each benchmark the least hand-written Go
// program that does the same work. A floor is a process of its own, so that its
// CPU and its memory are its own too.
package floor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	_ "net/http/pprof" // on the debug address
	"os"
)

// floors has each floor by its name; it answers the handler that its flags ask for.
var floors = map[string]func(ctx context.Context, flags []string) (http.Handler, error){
	"user":        newUser,
	"permission":  newPermission,
	"friend-page": newFriendPage,
	"add-friend":  newAddFriend,
	"broadcast":   newBroadcast,
	"upgrade":     newUpgrade,
	"nothing":     newNothing,
}

// Run serves the floor that args name, with its flags, until ctx ends. Once it
// serves it prints where, as kit.Addresses has it.
func Run(ctx context.Context, args []string) error {
	if len(args) == 0 || floors[args[0]] == nil {
		return fmt.Errorf("no floor is called %q", args)
	}
	handler, err := floors[args[0]](ctx, args[1:])
	if err != nil {
		return fmt.Errorf("floor %s: %w", args[0], err)
	}
	public, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	debug, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	failed := make(chan error, 2)
	go func() { failed <- http.Serve(public, handler) }()
	go func() { failed <- http.Serve(debug, http.DefaultServeMux) }()
	err = json.NewEncoder(os.Stdout).Encode(map[string]string{"address": public.Addr().String(), "debug": debug.Addr().String()})
	if err != nil {
		return err
	}
	select {
	case err := <-failed:
		return errors.Join(errors.New("serving"), err)
	case <-ctx.Done():
		return nil
	}
}
