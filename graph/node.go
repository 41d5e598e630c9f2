package graph

import (
	"context"
	"fmt"
	"slices"

	"rollcall/graph/auth"
	"rollcall/internal/fault"
	"rollcall/internal/webhooks"
	"rollcall/models"
)

func (r *queryResolver) Node(ctx context.Context, id string) (models.Node, error) {
	nodes, err := r.Nodes(ctx, []string{id})
	if err != nil {
		return nil, err
	}
	return nodes[0], nil
}

func (r *queryResolver) Nodes(ctx context.Context, ids []string) ([]models.Node, error) {
	asked := make([]nodeID, len(ids))
	for i, id := range ids {
		asked[i] = parseNodeID(ctx, id)
	}
	if err := r.limitProfiles(ctx, partsOf(asked, models.UserNode)...); err != nil {
		return nil, err
	}
	found, err := r.nodeUsers(ctx, asked)
	if err != nil {
		return nil, err
	}
	statuses, err := r.nodeStatuses(ctx, asked)
	if err != nil {
		return nil, err
	}
	nodes := make([]models.Node, len(ids))
	for i, id := range asked {
		switch id.kind {
		case models.UserNode:
			nodes[i] = nodeOf(found[id.part(0)])
		case models.StatusNode:
			nodes[i], statuses = nodeOf(statuses[0]), statuses[1:]
		default:
			if nodes[i], err = r.privateNode(ctx, id, found[id.part(0)], found[id.part(1)]); err != nil {
				return nil, err
			}
		}
	}
	return nodes, nil
}

// nodeID is the ID of a node that the caller may see if it exists. The zero value is that of no node.
type nodeID struct {
	text  string
	kind  models.NodeKind
	parts []string
}

// part returns a part of the ID, or "" if there is none.
func (id nodeID) part(i int) string {
	if i < len(id.parts) {
		return id.parts[i]
	}
	return ""
}

// parseNodeID parses an ID. It returns the zero nodeID if the caller may not see a node with the ID,
// whether it exists or not: others' relationships and devices, another app, and to users any app,
// whitelist, webhook endpoint and delivery.
func parseNodeID(ctx context.Context, text string) nodeID {
	p := auth.From(ctx)
	kind, parts, ok := models.ParseNodeID(text)
	switch kind {
	case models.UserNode, models.StatusNode, models.RequestNode:
	case models.AppNode:
		ok = ok && p.Kind == auth.AppServer && parts[0] == p.App.Key
	case models.WhitelistNode, models.WebhookEndpointNode, models.WebhookDeliveryNode:
		ok = ok && p.Kind == auth.AppServer
	default:
		ok = ok && (p.Kind == auth.AppServer || parts[0] == p.User.ExternalID)
	}
	if !ok {
		return nodeID{}
	}
	return nodeID{text, kind, parts}
}

// partsOf returns the first part of each ID of that kind, "" for those without one.
func partsOf(ids []nodeID, kind models.NodeKind) []string {
	var parts []string
	for _, id := range ids {
		if id.kind == kind {
			parts = append(parts, id.part(0))
		}
	}
	return parts
}

// nodeUsers reads the users that the IDs name, by their user IDs, in one query.
func (r *Resolver) nodeUsers(ctx context.Context, asked []nodeID) (map[string]*models.User, error) {
	var names []string
	for _, id := range asked {
		switch id.kind {
		case models.UserNode:
			names = append(names, id.parts...)
		case models.DeviceNode:
			names = append(names, id.parts[0])
		case models.FriendshipNode, models.BlockNode, models.WhitelistNode, models.SubscriptionNode:
			names = append(names, id.parts...)
		}
	}
	if len(names) == 0 {
		return nil, nil
	}
	rows, err := r.users.ByIDs(ctx, auth.From(ctx).App.ID, names)
	if err != nil {
		return nil, err
	}
	found := make(map[string]*models.User, len(rows))
	for i, u := range rows {
		if u != nil {
			found[names[i]] = u
		}
	}
	return found, nil
}

// nodeStatuses returns the statuses that the IDs name, one for each of that kind.
func (r *Resolver) nodeStatuses(ctx context.Context, asked []nodeID) ([]*models.UserStatus, error) {
	names := partsOf(asked, models.StatusNode)
	if len(names) == 0 {
		return nil, nil
	}
	if err := r.maySeeStatuses(ctx, names...); err != nil {
		return nil, err
	}
	return r.presence.Statuses(ctx, auth.From(ctx).App.ID, names)
}

// privateNode returns a node of which the caller may see all that exist, or nil if it does not
// exist. owner and target are the users that the ID names, or nil.
func (r *Resolver) privateNode(ctx context.Context, id nodeID, owner, target *models.User) (models.Node, error) {
	switch id.kind {
	case models.AppNode:
		return auth.From(ctx).App, nil
	case models.RequestNode:
		p := auth.From(ctx)
		request, err := r.relations.RequestByID(ctx, p.App, id.text)
		if err != nil || request == nil || p.Kind == auth.User && !p.IsUser(request.From.ID) && !p.IsUser(request.To.ID) {
			return nil, err
		}
		return request, nil
	case models.DeviceNode:
		if owner == nil {
			return nil, nil
		}
		return r.deviceNode(ctx, owner, id.text)
	case models.WebhookEndpointNode:
		return known(r.webhooks.EndpointByID(ctx, auth.From(ctx).App, id.text))
	case models.WebhookDeliveryNode:
		return known(r.webhooks.DeliveryByID(ctx, auth.From(ctx).App, id.text))
	}
	if owner == nil || target == nil {
		return nil, nil
	}
	switch id.kind {
	case models.FriendshipNode:
		return found(r.relations.FriendshipBetween(ctx, owner, target))
	case models.BlockNode:
		return found(r.relations.BlockOf(ctx, owner, target))
	case models.WhitelistNode:
		return found(r.relations.WhitelistEntryOf(ctx, owner, target))
	case models.SubscriptionNode:
		return found(r.subscriptions.Of(ctx, owner, target))
	}
	return nil, nil
}

func found[T any](node *T, err error) (models.Node, error) {
	if err != nil {
		return nil, err
	}
	return nodeOf(node), nil
}

// known is found for rules that return an error if there is no such endpoint or delivery.
func known[T any](node *T, err error) (models.Node, error) {
	if webhooks.Unknown(err) {
		return nil, nil
	}
	return found(node, err)
}

// nodeOf returns nil for a nil pointer.
func nodeOf[T any](node *T) models.Node {
	if node == nil {
		return nil
	}
	return node
}

func (r *Resolver) deviceNode(ctx context.Context, owner *models.User, id string) (models.Node, error) {
	devices, err := r.devices(ctx, owner)
	if err != nil {
		return nil, err
	}
	if i := slices.IndexFunc(devices, func(d *models.Device) bool { return d.ID == id }); i >= 0 {
		return devices[i], nil
	}
	return nil, nil
}

// devices returns the user's devices with the IDs of nodes.
func (r *Resolver) devices(ctx context.Context, u *models.User) ([]*models.Device, error) {
	devices, err := r.presence.Devices(ctx, u.ID)
	if err != nil {
		return nil, err
	}
	out := make([]*models.Device, len(devices))
	for i := range devices {
		out[i] = &devices[i]
		out[i].ID = models.DeviceNode.PairID(u.ExternalID, devices[i].ID)
	}
	return out, nil
}

// connectionIDs returns the devices' IDs as package presence knows them. Returns INVALID_ARGUMENT if
// one is not the ID of a device of this user.
func connectionIDs(user string, deviceIDs []string) ([]string, error) {
	var out []string
	for i, id := range deviceIDs {
		kind, parts, ok := models.ParseNodeID(id)
		if !ok || kind != models.DeviceNode || parts[0] != user {
			field := fmt.Sprintf("input.deviceIds.%d", i)
			return nil, fault.Invalid(field, "device", "%s must be the ID of a device of the user: device:USER:CONNECTION", field)
		}
		out = append(out, parts[1])
	}
	return out, nil
}
