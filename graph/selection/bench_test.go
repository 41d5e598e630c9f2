package selection_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/99designs/gqlgen/graphql"

	"rollcall/graph/generated"
	"rollcall/internal/page"
	"rollcall/internal/relations"
	"rollcall/models"
)

// fifty is stub with a page of 50 friends. It has everything in memory, so that the resolvers are
// not measured.
type fifty struct{ stub }

func (f fifty) Query() generated.QueryResolver { return fiftyQuery{f.stub.Query()} }
func (f fifty) User() generated.UserResolver   { return fiftyUser{f.stub.User()} }
func (f fifty) Subscription() generated.SubscriptionResolver {
	return fiftySubscription{f.stub.Subscription()}
}

type (
	fiftyQuery        struct{ generated.QueryResolver }
	fiftyUser         struct{ generated.UserResolver }
	fiftySubscription struct{ generated.SubscriptionResolver }
)

func (fiftyQuery) User(context.Context, string) (*models.User, error) {
	return friends.Nodes()[0].User, nil
}

func (fiftyUser) Status(context.Context, *models.User) (*models.UserStatus, error) {
	return &status, nil
}

func (fiftyUser) Friends(context.Context, *models.User, *int, *string, *generated.ListOrder) (*page.Connection[*relations.Friendship], error) {
	return friends, nil
}

func (fiftySubscription) StatusChanged(context.Context) (<-chan *models.UserStatus, error) {
	return events([]*models.UserStatus{&status}, nil)
}

var status = models.UserStatus{UserID: "ann", Presence: models.PresenceOnline, CustomStatus: "busy"}

var friends = func() *relations.FriendshipConnection {
	avatar := "https://example.org/avatars/0123456789abcdef.png"
	rows := make([]*relations.Friendship, 50)
	for i := range rows {
		id := fmt.Sprint("user-", i)
		rows[i] = &relations.Friendship{CreatedAt: 1_790_000_000_123, User: &models.User{ExternalID: id, Name: "Name of " + id, AvatarURL: &avatar}}
	}
	return page.Of(page.Order{List: "friends"}, page.Request{First: 50}, rows, make([]page.Key, 50),
		func(context.Context) (int, error) { return 50, nil })
}()

// Benchmark compares the execution of a parsed operation with and without package selection,
// without a database and a transport.
func Benchmark(b *testing.B) {
	for _, c := range []struct{ name, document string }{
		{"page of 50 friends", `{ user(id: "ann") { friends(first: 50) { edges { cursor node { user {
			id name avatarUrl status { presence customStatus } } remark createdAt blocked } }
			pageInfo { hasNextPage hasPreviousPage startCursor endCursor } totalCount } } }`},
		{"50 friends", `{ user(id: "ann") { friends(first: 50) { nodes { user { id name avatarUrl } remark } } } }`},
		{"one user", `{ user(id: "ann") { id name avatarUrl createdAt } }`},
		{"event", `subscription { statusChanged { userId presence customStatus changedAt } }`},
	} {
		for _, direct := range []bool{false, true} {
			b.Run(fmt.Sprintf("%s/direct=%t", c.name, direct), func(b *testing.B) {
				exec, _ := newExecutor(fifty{}, direct)
				ctx := graphql.StartOperationTrace(context.Background())
				b.ReportAllocs()
				for b.Loop() {
					op, errs := exec.CreateOperationContext(ctx, &graphql.RawParams{Query: c.document})
					if errs != nil {
						b.Fatal(errs)
					}
					responses, ctx := exec.DispatchOperation(ctx, op)
					if resp := responses(ctx); len(resp.Errors) > 0 {
						b.Fatal(resp.Errors)
					}
				}
			})
		}
	}
}
