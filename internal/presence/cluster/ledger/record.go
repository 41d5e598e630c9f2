// Package ledger keeps, in Redis, which accounts are connected to which nodes of a service, and the
// status that follows for each. Every change is one script that compares and publishes in one step,
// so that only real transitions are published, in the order of their versions, however many nodes
// there are.
package ledger

import (
	"fmt"
	"strconv"
	"strings"

	"rollcall/internal/presence/status"
	"rollcall/models"
)

// Parse parses a record as the scripts return and publish it. Its errors are logged, so they
// contain neither the user's ID nor its custom status.
func Parse(text string) (*status.Record, error) {
	fields := strings.SplitN(text, " ", 9)
	if len(fields) != 9 {
		return nil, fmt.Errorf("a record has %d fields, want 9", len(fields))
	}
	var numbers [7]int64
	for i := range numbers {
		n, err := strconv.ParseInt(fields[i], 10, 64)
		if err != nil {
			return nil, fmt.Errorf("field %d of a record is not a number", i)
		}
		numbers[i] = n
	}
	if n := numbers[2]; n < int64(models.PresenceUnlogined) || n > int64(models.PresenceOnline) {
		return nil, fmt.Errorf("a record has the unknown presence %d", n)
	}
	return &status.Record{
		Version: numbers[0], Content: numbers[1],
		State:       status.State{Presence: models.Presence(numbers[2]), Since: models.Time(numbers[3])},
		CustomSince: models.Time(numbers[4]),
		ID:          numbers[5], AppID: numbers[6], ExternalID: fields[7], Custom: fields[8],
	}, nil
}

func parseAll(texts []string) ([]*status.Record, error) {
	records := make([]*status.Record, len(texts))
	for i, text := range texts {
		var err error
		if records[i], err = Parse(text); err != nil {
			return nil, err
		}
	}
	return records, nil
}

// Cut notifies nodes that devices of an account have been taken out of Redis and that their links
// must end.
type Cut struct {
	UserID int64
	// Reason is the one passed to Leave.
	Reason string
	// Revoked reports whether the user may no longer be connected, so that arriving devices are cut
	// too.
	Revoked bool
	Devices []string
}

// ParseCut parses a message that was published on one of CutChannels.
func ParseCut(text string) (Cut, error) {
	fields := strings.Fields(text)
	if len(fields) < 3 {
		return Cut{}, fmt.Errorf("%q is not a cut", text)
	}
	id, err := strconv.ParseInt(fields[0], 10, 64)
	if err != nil {
		return Cut{}, fmt.Errorf("%q is not a cut: %w", text, err)
	}
	return Cut{UserID: id, Reason: fields[1], Revoked: fields[2] == "1", Devices: fields[3:]}, nil
}

// device returns a device's value in its account's hash, without the node and the version.
func device(d models.Device) string {
	return string(d.Platform) + " " + strconv.FormatInt(int64(d.ConnectedAt), 10)
}

// parseDevice parses a device's whole value. added is the version with which it was added.
func parseDevice(id, value string) (d models.Device, added int64, err error) {
	fields := strings.Fields(value)
	if len(fields) != 4 {
		return d, 0, fmt.Errorf("%q is not a device", value)
	}
	at, err := strconv.ParseInt(fields[2], 10, 64)
	if err != nil {
		return d, 0, fmt.Errorf("%q is not a device: %w", value, err)
	}
	return models.Device{ID: id, Platform: models.Platform(fields[1]), ConnectedAt: models.Time(at)}, number(fields[3]), nil
}
