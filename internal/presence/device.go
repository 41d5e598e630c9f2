package presence

// The public calls about devices. When a user comes ONLINE and when it leaves is decided in
// memory/device.go for a service of one node, and in cluster/ledger/connect.lua and leave.lua for
// several nodes.

import (
	"context"
	"fmt"

	"gorm.io/gorm"

	"rollcall/internal/audit"
	"rollcall/internal/bus"
	"rollcall/internal/fault"
	"rollcall/internal/presence/status"
	"rollcall/models"
)

// revocations are the reasons for which a user may no longer be connected.
var revocations = map[bus.Reason]status.Reason{
	bus.ReasonBanned:      status.ReasonBanned,
	bus.ReasonDeactivated: status.ReasonDeactivated,
	bus.ReasonDeleted:     status.ReasonDeleted,
}

// Connect adds a device to the account. If the account then has more than its DeviceLimit, the
// oldest are cut. When Connect returns, the user is ONLINE and the login is recorded in the
// database, so that a crash from then on leaves the user OFFLINE. On an error (the database does not
// respond, ctx ends first, status.ErrClosed, or the error that check returned) nothing remains of
// the device.
//
// check reads the database and returns an error if the user may no longer connect. It is called
// after the device can be cut and before it is visible. So check sees a ban that was committed
// earlier, and a later ban cuts the link: a connect that races with a ban loses, and the user never
// becomes ONLINE.
func (h *Hub) Connect(ctx context.Context, acc status.Account, platform models.Platform, link status.Link,
	check func(context.Context) error) (*status.Device, error) {
	return h.registry.Connect(ctx, acc, platform, link, func(ctx context.Context) (status.Account, error) { return acc, check(ctx) })
}

// ConnectByID is like Connect, for a caller that knows only the user's users.id. One read of the
// database serves both purposes: read returns the account, or an error if the user may not connect.
func (h *Hub) ConnectByID(ctx context.Context, userID int64, platform models.Platform, link status.Link,
	read func(context.Context) (status.Account, error)) (*status.Device, error) {
	return h.registry.Connect(ctx, status.Account{ID: userID}, platform, link, read)
}

// Logout ends the device own, or all of the account's devices if all is set or own is nil. It returns
// when the database holds the result: UNLOGINED unless a device remains. The other devices' links are
// cut; own's is left to the caller, which responds over it first. own.LoggedOut() is true from now on.
// Logout returns how many devices it has ended.
//
// If the database does not respond or ctx ends, the devices are logged out all the same, but a crash
// may still leave the user OFFLINE. ErrClosed: nothing was done.
func (h *Hub) Logout(ctx context.Context, acc status.Account, own *status.Device, all bool) (int, error) {
	return h.registry.Logout(ctx, acc, own, all)
}

// Disconnect cuts the account's devices with these IDs, or all of them if deviceIDs is nil, and
// returns how many there were. It first writes the audit entry; if that fails, it cuts none.
func (h *Hub) Disconnect(ctx context.Context, acc status.Account, deviceIDs []string, by models.Actor) (int, error) {
	entry := models.AuditEntry{
		AppID: &acc.AppID, At: h.now(), Actor: by.Name, Address: by.Address,
		Action: audit.ActionUserDisconnect, Target: acc.ExternalID,
	}
	if len(deviceIDs) > 0 {
		entry.Detail = fmt.Sprintf("devices=%d", len(deviceIDs))
	}
	err := h.db.Tx(ctx, func(tx *gorm.DB) error { return audit.Write(tx, entry) })
	if err != nil {
		return 0, fault.Wrap(err, "disconnecting devices")
	}
	return h.cut(ctx, acc, deviceIDs)
}

// DisconnectAll cuts all of the account's devices and returns how many there were. It is part of an
// act that the caller has written to the audit.
func (h *Hub) DisconnectAll(ctx context.Context, acc status.Account) (int, error) {
	return h.cut(ctx, acc, nil)
}

func (h *Hub) cut(ctx context.Context, acc status.Account, deviceIDs []string) (int, error) {
	return h.registry.Cut(ctx, acc, deviceIDs, models.PresenceOffline, status.Cause{Reason: status.ReasonDisconnected})
}

// revoke ends all devices of a user that may no longer be connected.
func (h *Hub) revoke(ctx context.Context, ev bus.AccessRevoked) {
	cause := status.Cause{Reason: revocations[ev.Reason], BannedUntil: ev.BannedUntil}
	_, err := h.registry.Cut(ctx, status.AccountOf(ev.User), nil, cause.Reason.Leaves(), cause)
	if err == nil && ev.Reason != bus.ReasonBanned {
		// Watchers here must receive its last change before the erasure takes their watches away.
		_ = h.registry.Receive(ctx, ev.User.ID) // fails if the connection is lost: there is nothing to wait for
	}
	if err != nil {
		// The user's requests are refused all the same, and every node checks its devices when it
		// notices that it has missed messages.
		h.log.Error("ending the devices of a user on other nodes failed; retrying", "user", ev.User.ID, "reason", ev.Reason, "error", err)
		h.bus.Missed()
	}
}

// Devices returns the devices of the user with that users.id, the first to connect first.
func (h *Hub) Devices(ctx context.Context, userID int64) ([]models.Device, error) {
	return h.registry.DevicesOf(ctx, userID)
}

// DeviceCount returns how many devices are connected to this process.
func (h *Hub) DeviceCount() int { return int(h.metrics.devices.Load()) }
