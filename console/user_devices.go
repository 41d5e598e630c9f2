package console

import (
	"context"
	"time"

	"rollcall/internal/operators"
	"rollcall/internal/presence"
	"rollcall/models"
)

// deviceRow is a connected device with its client. Client is nil if the device's node has not
// responded.
type deviceRow struct {
	models.Device
	Client *deviceClient
}

// deviceClient is the client of a device. Its address is for moderators.
type deviceClient struct {
	presence.Client
	client
	// Heard is how long ago the client was last heard. It is of no use if HeardAt is 0.
	Heard age
}

// fillDevices reads the clients of the user's devices.
func (c *console) fillDevices(v *visit, p *userTabPage) error {
	p.DeviceRows = c.deviceRows(v, p.userPage)
	return nil
}

// deviceRows returns the user's devices, or without Redis those of this node.
func (c *console) deviceRows(v *visit, p *userPage) []deviceRow {
	if !p.DevicesKnown {
		return c.withClients(v, p, c.Presence.DevicesHere(p.User.ID))
	}
	return c.withClients(v, p, p.Devices)
}

// withClients returns devices of the user with their clients.
func (c *console) withClients(v *visit, p *userPage, devices []models.Device) []deviceRow {
	ids := make([]string, len(devices))
	for i, d := range devices {
		ids[i] = d.ID
	}
	ctx, cancel := context.WithTimeout(v.r.Context(), clientsTime)
	defer cancel()
	clients := c.Presence.Clients(ctx, p.User.ID, ids)
	rows := make([]deviceRow, len(devices))
	for i, d := range devices {
		rows[i].Device = d
		if found, ok := clients[d.ID]; ok {
			rows[i].Client = &deviceClient{
				found, clientNamed(operators.ClientOf(found.UserAgent)), ageOf(c.Clock().Sub(found.HeardAt.Time())),
			}
		}
	}
	return rows
}

// NodesMissing reports whether a node has not responded, so that the clients of its devices are unknown.
func (p *userPage) NodesMissing() bool {
	for _, d := range p.DeviceRows {
		if d.Client == nil {
			return true
		}
	}
	return false
}

// age is how long ago something was: N minutes or hours, or less than a minute if N is 0.
type age struct {
	Unit string
	N    int
}

func ageOf(d time.Duration) age {
	switch {
	case d < time.Minute: // or in the future, by the clock of another node
		return age{}
	case d < time.Hour:
		return age{"minutes", int(d.Minutes())}
	}
	return age{"hours", int(d.Hours())}
}
