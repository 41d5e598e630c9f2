package selection_test

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"

	"rollcall/graph/generated"
	"rollcall/internal/page"
	"rollcall/internal/relations"
	"rollcall/internal/subscriptions"
	"rollcall/internal/webhooks"
	"rollcall/models"
)

// stub resolves queries with generated data, some of which violates the schema: null for non-null
// fields, errors and panics. The data depends only on the seed and the place, which an object's ID
// contains, not on the order of calls.
type stub struct {
	generated.ResolverRoot
	seed uint64
	// faults is how many of a thousand values are faulty.
	faults uint64
}

// draw returns a number below n for a place.
func (s stub) draw(where string, n uint64) uint64 {
	h := fnv.New64a()
	fmt.Fprint(h, s.seed, where)
	return h.Sum64() % n
}

// fault returns an error, or panics, at some places.
func (s stub) fault(where string) error {
	if s.draw("fault "+where, 1000) >= s.faults {
		return nil
	}
	if s.draw("panic "+where, 3) == 0 {
		panic("panic at " + where)
	}
	return errors.New("error at " + where)
}

// pointer returns nil at some places.
func pointer[T any](s stub, where string, value func(where string) T) *T {
	if s.draw("nil "+where, 1000) < s.faults {
		return nil
	}
	v := value(where)
	return &v
}

// result returns the result of a resolver.
func result[T any](s stub, where string, value func(where string) T) (*T, error) {
	if err := s.fault(where); err != nil {
		return nil, err
	}
	return pointer(s, where, value), nil
}

func many[T any](s stub, where string, value func(where string) T) []*T {
	n := s.draw("length "+where, 6)
	if n == 5 {
		return nil
	}
	list := make([]*T, n)
	for i := range list {
		list[i] = pointer(s, fmt.Sprint(where, "/", i), value)
	}
	return list
}

func results[T any](s stub, where string, value func(where string) T) ([]*T, error) {
	if err := s.fault(where); err != nil {
		return nil, err
	}
	return many(s, where, value), nil
}

func connection[T any](s stub, where string, first *int, value func(where string) T) (*page.Connection[*T], error) {
	if first != nil {
		where += fmt.Sprint("/", *first)
	}
	if err := s.fault(where); err != nil {
		return nil, err
	}
	rows := many(s, where, value)
	return page.Of(page.Order{List: where}, page.Request{First: 3}, rows, make([]page.Key, len(rows)),
		func(context.Context) (int, error) { return len(rows), s.fault("total " + where) }), nil
}

func (s stub) text(where string) string {
	return []string{"plain", "", "丽 ☃", "quote\" back\\slash", "\x00\t\r\n\x1f", "\xff\xfe", "</script>\u2028"}[s.draw("text "+where, 7)]
}

func (s stub) Entity() generated.EntityResolver { return entities{s} }

type entities struct{ stub }

func (s entities) FindManyUserByIDs(_ context.Context, representations []*generated.UserByIDsInput) ([]*models.User, error) {
	where := fmt.Sprint("entities ", len(representations))
	if err := s.fault(where); err != nil {
		return nil, err
	}
	users := make([]*models.User, len(representations))
	for i, r := range representations {
		users[i] = pointer(s.stub, where+"/"+r.ID, s.user)
	}
	return users, nil
}

func (s stub) time(where string) models.Time { return models.Time(s.draw("time "+where, 4e12)) }

func (s stub) flag(where string) bool { return s.draw("flag "+where, 2) == 0 }

// optional returns nil half of the time.
func optional[T any](s stub, where string, value func(where string) T) *T {
	if s.flag("given " + where) {
		return nil
	}
	v := value(where)
	return &v
}

func (s stub) user(where string) models.User {
	return models.User{
		ExternalID: where, Name: s.text(where), AvatarURL: optional(s, where+".avatar", s.text),
		CreatedAt: s.time(where), UpdatedAt: s.time("updated " + where), DeactivatedAt: optional(s, where+".gone", s.time),
	}
}

func (s stub) status(where string) models.UserStatus {
	return models.UserStatus{
		UserID: where, Presence: models.Presence(s.draw(where, 3)), CustomStatus: s.text(where), ChangedAt: optional(s, where, s.time),
	}
}

func (s stub) friendship(where string) relations.Friendship {
	return relations.Friendship{
		Owner: pointer(s, where+".owner", s.user), User: pointer(s, where+".user", s.user), Remark: optional(s, where+".remark", s.text), CreatedAt: s.time(where), Blocked: s.flag(where),
	}
}

func (s stub) request(where string) relations.FriendRequest {
	return relations.FriendRequest{
		ID: where, From: pointer(s, where+".from", s.user), To: pointer(s, where+".to", s.user),
		Message: optional(s, where+".message", s.text), CreatedAt: s.time(where), ExpiresAt: s.time("end " + where),
	}
}

func (s stub) block(where string) relations.Block {
	return relations.Block{Owner: pointer(s, where+".owner", s.user), User: pointer(s, where+".user", s.user), CreatedAt: s.time(where)}
}

func (s stub) entry(where string) relations.WhitelistEntry {
	return relations.WhitelistEntry{Owner: pointer(s, where+".owner", s.user), User: pointer(s, where+".user", s.user), CreatedAt: s.time(where)}
}

func (s stub) subscription(where string) subscriptions.Subscription {
	return subscriptions.Subscription{Owner: pointer(s, where+".owner", s.user), User: pointer(s, where+".user", s.user), SubscribedAt: s.time(where)}
}

func (s stub) device(where string) models.Device {
	return models.Device{ID: where, Platform: "WEB", ConnectedAt: s.time(where)}
}

func (s stub) permission(where string) relations.Permission {
	return relations.Permission{From: where, To: s.text(where), Allowed: s.flag(where),
		Reason: optional(s, where, func(string) relations.DenialReason { return relations.DenialReason("BLOCKED_BY_RECIPIENT") })}
}

func (s stub) event(where string) relations.Event {
	return relations.Event{Kind: "FRIEND_ADDED", User: pointer(s, where+".user", s.user), OccurredAt: s.time(where),
		Friendship: optional(s, where+".friendship", s.friendship), Request: optional(s, where+".request", s.request)}
}

func (s stub) app(where string) models.App {
	return models.App{Key: where, Name: s.text(where), Environment: models.EnvironmentProduction, Edition: models.EditionStandard,
		Settings: models.DefaultAppSettings(), CreatedAt: s.time(where)}
}

func (s stub) endpoint(where string) models.WebhookEndpoint {
	return models.WebhookEndpoint{URL: where, Description: s.text(where), EventTypes: s.text("types " + where), State: models.EndpointEnabled, CreatedAt: s.time(where)}
}

func (s stub) delivery(where string) webhooks.Sent {
	return webhooks.Sent{UID: where, Type: s.text(where), OccurredAt: s.time(where), Delivery: models.Delivery{
		State: models.DeliveryFailed, Attempts: 3, LastError: optional(s, where, s.text),
	}}
}

type (
	stubApp          struct{ stub }
	stubEndpoint     struct{ stub }
	stubEvent        struct{ stub }
	stubDelivery     struct{ stub }
	stubQuery        struct{ stub }
	stubSubscription struct{ stub }
	stubUser         struct{ stub }
	stubBan          struct{ stub }
	stubWhitelist    struct{ stub }
)

func (s stub) App() generated.AppResolver                   { return stubApp{s} }
func (s stub) Query() generated.QueryResolver               { return stubQuery{s} }
func (s stub) Subscription() generated.SubscriptionResolver { return stubSubscription{s} }
func (s stub) User() generated.UserResolver                 { return stubUser{s} }
func (s stub) BanRecord() generated.BanRecordResolver       { return stubBan{s} }
func (s stub) Whitelist() generated.WhitelistResolver       { return stubWhitelist{s} }

func (s stub) feedEvent(where string) webhooks.FeedEvent {
	return webhooks.FeedEvent{UID: where, Type: s.text(where), OccurredAt: s.time(where), Data: "{}", Body: s.text("body " + where)}
}

func (s stub) Event() generated.EventResolver { return stubEvent{s} }

func (s stubEvent) UserID(_ context.Context, obj *webhooks.FeedEvent) (*string, error) {
	return result(s.stub, "user of event "+obj.UID, s.text)
}

func (s stubQuery) Events(_ context.Context, first *int, _ *string) (*webhooks.EventConnection, error) {
	return connection(s.stub, "events", first, s.feedEvent)
}

func (s stub) WebhookEndpoint() generated.WebhookEndpointResolver { return stubEndpoint{s} }
func (s stub) WebhookDelivery() generated.WebhookDeliveryResolver { return stubDelivery{s} }

func (s stubEndpoint) ID(_ context.Context, obj *models.WebhookEndpoint) (string, error) {
	return obj.URL, s.fault("endpoint " + obj.URL)
}

func (s stubEndpoint) EventTypes(_ context.Context, obj *models.WebhookEndpoint) ([]string, error) {
	return []string{obj.EventTypes}, s.fault("types " + obj.URL)
}

func (s stubEndpoint) Enabled(_ context.Context, obj *models.WebhookEndpoint) (bool, error) {
	return true, s.fault("enabled " + obj.URL)
}

func (s stubEndpoint) DisabledReason(_ context.Context, obj *models.WebhookEndpoint) (*generated.WebhookDisabledReason, error) {
	return nil, s.fault("reason " + obj.URL)
}

func (s stubEndpoint) FailingSince(_ context.Context, obj *models.WebhookEndpoint) (*models.Time, error) {
	return result(s.stub, "failing "+obj.URL, s.time)
}

func (s stubEndpoint) PreviousSecretEndsAt(_ context.Context, obj *models.WebhookEndpoint) (*models.Time, error) {
	return result(s.stub, "previous "+obj.URL, s.time)
}

func (s stubDelivery) ID(_ context.Context, obj *webhooks.Sent) (string, error) {
	return obj.UID, s.fault("delivery " + obj.UID)
}

func (s stubDelivery) EventUserID(_ context.Context, obj *webhooks.Sent) (*string, error) {
	return result(s.stub, "user of "+obj.UID, s.text)
}

func (s stubDelivery) NextAttemptAt(_ context.Context, obj *webhooks.Sent) (*models.Time, error) {
	return result(s.stub, "next of "+obj.UID, s.time)
}

func (s stubDelivery) LastStatus(_ context.Context, obj *webhooks.Sent) (*int, error) {
	return new(500), s.fault("status of " + obj.UID)
}

func (s stubDelivery) LastDurationMs(_ context.Context, obj *webhooks.Sent) (*int, error) {
	return new(7), s.fault("duration of " + obj.UID)
}

func (s stubQuery) WebhookEndpoints(context.Context) ([]*models.WebhookEndpoint, error) {
	return results(s.stub, "endpoints", s.endpoint)
}

func (s stubQuery) WebhookDeliveries(_ context.Context, endpointID string, _ *models.DeliveryState, first *int, _ *string) (*webhooks.DeliveryConnection, error) {
	return connection(s.stub, "deliveries "+endpointID, first, s.delivery)
}

func (s stubApp) OnlineUserCount(_ context.Context, obj *models.App) (*int, error) {
	return new(7), s.fault("online " + obj.Key)
}

func (s stubApp) RegisteredUserCount(_ context.Context, obj *models.App) (int, error) {
	return 9, s.fault("registered " + obj.Key)
}

// Node returns an object of a type that depends on the ID.
func (s stubQuery) Node(_ context.Context, id string) (models.Node, error) {
	if err := s.fault("node " + id); err != nil {
		return nil, err
	}
	return s.node(id), nil
}

func (s stubQuery) Nodes(_ context.Context, ids []string) ([]models.Node, error) {
	if err := s.fault(fmt.Sprint("nodes ", ids)); err != nil {
		return nil, err
	}
	nodes := make([]models.Node, len(ids))
	for i, id := range ids {
		nodes[i] = s.node(id)
	}
	return nodes, nil
}

func (s stub) node(where string) models.Node {
	switch s.draw("node "+where, 5) {
	case 0:
		return nil
	case 1:
		v := s.status(where)
		return &v
	case 2:
		v := s.friendship(where)
		return &v
	case 3:
		v := s.app(where)
		return &v
	}
	v := s.user(where)
	return &v
}

func (s stubQuery) App(context.Context) (*models.App, error) { return result(s.stub, "app", s.app) }

func (s stubQuery) Me(context.Context) (*models.User, error) { return result(s.stub, "me", s.user) }

func (s stubQuery) User(_ context.Context, id string) (*models.User, error) {
	return result(s.stub, id, s.user)
}

func (s stubQuery) Users(_ context.Context, ids []string) ([]*models.User, error) {
	return results(s.stub, fmt.Sprint(ids), s.user)
}

func (s stubQuery) TokenInfo(_ context.Context, token string) (*generated.TokenInfo, error) {
	return result(s.stub, "token "+token, func(where string) generated.TokenInfo {
		return generated.TokenInfo{
			Active: s.flag(where), UserID: optional(s.stub, where+".id", s.text), User: optional(s.stub, where+".user", s.user),
			IssuedAt: optional(s.stub, where+".issued", s.time),
		}
	})
}

func (s stubQuery) UserList(_ context.Context, first *int, _ *string, _ *generated.UserFilter, _ *generated.ListOrder) (*page.Connection[*models.User], error) {
	return connection(s.stub, "list", first, s.user)
}

func (s stubQuery) BannedUsers(_ context.Context, first *int, _ *string) (*page.Connection[*models.User], error) {
	return connection(s.stub, "banned", first, s.user)
}

func (s stubQuery) DeactivatedUsers(_ context.Context, first *int, _ *string) (*page.Connection[*models.User], error) {
	return connection(s.stub, "gone", first, s.user)
}

func (s stubQuery) UserStatuses(_ context.Context, ids []string) ([]*models.UserStatus, error) {
	return results(s.stub, fmt.Sprint("statuses ", ids), s.status)
}

func (s stubQuery) MessagePermission(_ context.Context, from, to string) (*relations.Permission, error) {
	return result(s.stub, from+to, s.permission)
}

func (s stubQuery) MessagePermissions(_ context.Context, pairs []*generated.MessagePair) ([]*relations.Permission, error) {
	return results(s.stub, pairs[0].From, s.permission)
}

func (s stubSubscription) StatusChanged(context.Context) (<-chan *models.UserStatus, error) {
	return events(results(s.stub, "changed", s.status))
}

func (s stubSubscription) AppStatusChanged(context.Context) (<-chan *models.UserStatus, error) {
	return events(results(s.stub, "app changed", s.status))
}

func (s stubSubscription) UserStatus(_ context.Context, ids []string) (<-chan *models.UserStatus, error) {
	return events(results(s.stub, ids[0], s.status))
}

func (s stubSubscription) UserChanged(_ context.Context, ids []string) (<-chan *models.User, error) {
	return events(results(s.stub, "user changed "+ids[0], s.user))
}

func (s stubSubscription) RelationshipChanged(context.Context) (<-chan *relations.Event, error) {
	return events(results(s.stub, "relations", s.event))
}

// events returns a channel with the elements of list.
func events[T any](list []*T, err error) (<-chan *T, error) {
	out := make(chan *T, len(list))
	for _, v := range list {
		out <- v
	}
	close(out)
	return out, err
}

func (s stubUser) State(_ context.Context, obj *models.User) (models.UserState, error) {
	return models.UserActive, s.fault("state " + obj.ExternalID)
}

func (s stubUser) Ban(_ context.Context, obj *models.User) (*generated.Ban, error) {
	return result(s.stub, "ban "+obj.ExternalID, func(where string) generated.Ban {
		return generated.Ban{Until: new(s.time(where)), Since: s.time("since " + where), Reason: optional(s.stub, where, s.text)}
	})
}

func (s stubUser) Bans(_ context.Context, obj *models.User, first *int, _ *string) (*page.Connection[*models.BanRecord], error) {
	return connection(s.stub, obj.ExternalID+".bans", first, func(where string) models.BanRecord {
		return models.BanRecord{
			BannedAt: s.time(where), BannedBy: optional(s.stub, "by "+where, s.text), BannedUntil: s.time("until " + where),
			Reason: optional(s.stub, "reason "+where, s.text), EndedBy: optional(s.stub, "ended by "+where, s.text),
		}
	})
}

func (s stubBan) State(_ context.Context, obj *models.BanRecord) (models.BanState, error) {
	return models.BanLifted, s.fault("state of ban " + obj.BannedAt.String())
}

func (s stubBan) EndedAt(_ context.Context, obj *models.BanRecord) (*models.Time, error) {
	return result(s.stub, "end of ban "+obj.BannedAt.String(), s.time)
}

func (s stubUser) Status(_ context.Context, obj *models.User) (*models.UserStatus, error) {
	return result(s.stub, "status "+obj.ExternalID, s.status)
}

func (s stubUser) Devices(_ context.Context, obj *models.User) ([]*models.Device, error) {
	return results(s.stub, "devices "+obj.ExternalID, s.device)
}

func (s stubUser) Friends(_ context.Context, obj *models.User, first *int, _ *string, _ *generated.ListOrder) (*page.Connection[*relations.Friendship], error) {
	return connection(s.stub, obj.ExternalID+".friends", first, s.friendship)
}

func (s stubUser) FriendIds(_ context.Context, obj *models.User) ([]string, error) {
	return []string{s.text(obj.ExternalID), "x"}, s.fault("IDs " + obj.ExternalID)
}

func (s stubUser) Friendship(_ context.Context, obj *models.User, with string) (*relations.Friendship, error) {
	return result(s.stub, obj.ExternalID+".friendship "+with, s.friendship)
}

func (s stubUser) Friendships(_ context.Context, obj *models.User, with []string) ([]*relations.Friendship, error) {
	return results(s.stub, fmt.Sprint(obj.ExternalID, ".friendships ", with), s.friendship)
}

func (s stubUser) FriendRequest(_ context.Context, obj *models.User, with string) (*relations.FriendRequest, error) {
	return result(s.stub, obj.ExternalID+".request "+with, s.request)
}

func (s stubUser) FriendRequestPolicy(_ context.Context, obj *models.User) (*models.FriendRequestPolicy, error) {
	return result(s.stub, obj.ExternalID+".policy", func(where string) models.FriendRequestPolicy {
		return models.FriendRequestPolicies[s.draw(where, 3)]
	})
}

func (s stubUser) FriendRequests(_ context.Context, obj *models.User, direction generated.RequestDirection, first *int, _ *string) (*page.Connection[*relations.FriendRequest], error) {
	return connection(s.stub, obj.ExternalID+direction.String(), first, s.request)
}

func (s stubUser) Blocklist(_ context.Context, obj *models.User, first *int, _ *string) (*page.Connection[*relations.Block], error) {
	return connection(s.stub, obj.ExternalID+".blocklist", first, s.block)
}

func (s stubUser) BlockedIds(context.Context, *models.User) ([]string, error) { return nil, nil }

func (s stubUser) HasBlocked(_ context.Context, obj *models.User, id string) (*bool, error) {
	return new(s.flag(id)), s.fault("blocked " + obj.ExternalID)
}

func (s stubUser) Whitelist(_ context.Context, obj *models.User) (*relations.Whitelist, error) {
	return result(s.stub, "whitelist "+obj.ExternalID, func(string) relations.Whitelist { return relations.Whitelist{Owner: obj} })
}

func (s stubUser) StatusSubscriptions(_ context.Context, obj *models.User, first *int, _ *string) (*page.Connection[*subscriptions.Subscription], error) {
	return connection(s.stub, obj.ExternalID+".subscriptions", first, s.subscription)
}

func (s stubWhitelist) Entries(_ context.Context, obj *relations.Whitelist, first *int, _ *string) (*page.Connection[*relations.WhitelistEntry], error) {
	return connection(s.stub, obj.Owner.ExternalID+".entries", first, s.entry)
}
