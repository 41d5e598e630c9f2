package models

import "strings"

// Node is an object of the API that has an ID of its own: *App, *User, *Device, *UserStatus, and the
// friendships, friend requests, blocks, whitelist entries and subscriptions as the rules return them.
type Node any

// NodeKind is the prefix of a node's ID.
type NodeKind string

// The kinds of nodes. A user has no prefix: its ID is the user ID, which has no colon.
const (
	UserNode         NodeKind = ""
	AppNode          NodeKind = "app"          // app:KEY
	DeviceNode       NodeKind = "device"       // device:USER:CONNECTION
	StatusNode       NodeKind = "status"       // status:USER
	FriendshipNode   NodeKind = "friendship"   // friendship:OWNER:FRIEND
	RequestNode      NodeKind = "request"      // request:SEALED
	BlockNode        NodeKind = "block"        // block:OWNER:TARGET
	WhitelistNode    NodeKind = "whitelist"    // whitelist:OWNER:TARGET
	SubscriptionNode NodeKind = "subscription" // subscription:OWNER:TARGET

	WebhookEndpointNode NodeKind = "webhookEndpoint" // webhookEndpoint:SEALED
	WebhookDeliveryNode NodeKind = "webhookDelivery" // webhookDelivery:SEALED
)

// nodeParts is the number of parts behind each prefix.
var nodeParts = map[NodeKind]int{
	AppNode: 1, DeviceNode: 2, StatusNode: 1, FriendshipNode: 2, RequestNode: 1,
	BlockNode: 2, WhitelistNode: 2, SubscriptionNode: 2, WebhookEndpointNode: 1, WebhookDeliveryNode: 1,
}

// ID returns the ID of the node of this kind that the part names.
func (k NodeKind) ID(part string) string { return string(k) + ":" + part }

// PairID returns the ID of the node of this kind that the two parts name.
func (k NodeKind) PairID(owner, target string) string { return string(k) + ":" + owner + ":" + target }

// ParseNodeID returns the kind of the node with this ID and the parts that name it. It reports false
// if no node can have this ID.
func ParseNodeID(id string) (kind NodeKind, parts []string, ok bool) {
	prefix, rest, found := strings.Cut(id, ":")
	if !found {
		return UserNode, []string{id}, id != ""
	}
	parts = strings.Split(rest, ":")
	kind = NodeKind(prefix)
	return kind, parts, kind != UserNode && len(parts) == nodeParts[kind]
}
