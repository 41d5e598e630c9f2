package webhooks

import "time"

// OtherMain, if set, is called before the tests; see kill_test.go.
var OtherMain func()

// ShortenLeases shortens leases and attempts of Services that are made later.
func ShortenLeases(lease, attempt time.Duration) {
	usualTiming.lease, usualTiming.margin, usualTiming.attempt = lease, lease/10, attempt
}
