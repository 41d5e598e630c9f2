package status

import (
	"crypto/rand"
	"sync/atomic"

	"rollcall/internal/fault"
	"rollcall/models"
)

// ErrClosed is returned by a registry's Connect and Logout once its Close has begun.
var ErrClosed error = fault.New(fault.Unavailable, "the server is going away")

// DeviceIDLength is how long the IDs of devices are, which gives them 80 random bits.
const DeviceIDLength = 16

// Device is one live connection of a user. Its registry makes it.
type Device struct {
	registry interface{ Gone(*Device) }
	account  Account
	info     models.Device
	link     Link
	// ended reports whether the link has ended, leaving whether the caller that logs the device out
	// ends its link.
	ended, leaving, loggedOut atomic.Bool
}

// NewDevice returns a device that connects at that time. When its link has ended, the registry's
// Gone is called, once.
func NewDevice(registry interface{ Gone(*Device) }, acc Account, platform models.Platform, link Link, at models.Time) *Device {
	return &Device{
		registry: registry,
		account:  acc,
		info:     models.Device{ID: rand.Text()[:DeviceIDLength], Platform: platform, ConnectedAt: at},
		link:     link,
	}
}

// Info returns what the API shows of the device.
func (d *Device) Info() models.Device { return d.info }

// Client returns what is known of the device's client now.
func (d *Device) Client() Client { return d.link.Client() }

// Account returns the account of the device, as it was read when it connected.
func (d *Device) Account() Account { return d.account }

// Gone removes the device from its registry. The transport calls it once its link has ended, however
// it ended.
func (d *Device) Gone() {
	if !d.ended.Swap(true) {
		d.registry.Gone(d)
	}
}

// LoggedOut reports whether the device has been logged out, and so needs no further notice.
func (d *Device) LoggedOut() bool { return d.loggedOut.Load() }

// Identify sets the account of a device that was made with no more than an ID. The registry calls it
// before Connect returns.
func (d *Device) Identify(acc Account) { d.account = acc }

// Leave notes whether the caller that logs the device out will end its link, so that Cut does not.
func (d *Device) Leave(leaving bool) { d.leaving.Store(leaving) }

// Logout notes that the device is logged out.
func (d *Device) Logout() { d.loggedOut.Store(true) }

// Cut ends the link of a device that the registry has removed.
func (d *Device) Cut(cause Cause) {
	if cause.Reason == ReasonLoggedOut {
		d.Logout()
	}
	if !d.leaving.Load() {
		d.link.Cut(cause)
	}
}
