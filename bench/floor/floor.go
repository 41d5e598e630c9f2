// Package floor has the floors: for each benchmark the shortest hand-written Go program that does
// the same work. A floor is a process of its own, so that its CPU and memory can be measured.
package floor

import (
	"context"
	"fmt"
	"net/http"

	"rollcall/bench/listen"
)

// floors has each floor by its name. It returns the handler for its flags.
var floors = map[string]func(ctx context.Context, flags []string) (http.Handler, error){
	"user":        newUser,
	"permission":  newPermission,
	"friend-page": newFriendPage,
	"add-friend":  newAddFriend,
	"broadcast":   newBroadcast,
	"upgrade":     newUpgrade,
	"nothing":     newNothing,
}

// Run serves the floor that args name, with its flags, until ctx ends. Once it serves, it prints
// listen.Addresses.
func Run(ctx context.Context, args []string) error {
	if len(args) == 0 || floors[args[0]] == nil {
		return fmt.Errorf("unknown floor %q", args)
	}
	handler, err := floors[args[0]](ctx, args[1:])
	if err != nil {
		return fmt.Errorf("floor %s: %w", args[0], err)
	}
	return listen.Until(ctx, handler)
}
