// Package ledger keeps, in Redis, who is connected to which node of a service and
// what follows for each account's status. Every change is one script: it compares
// and publishes in one step, so that only real transitions are announced, in the
// order of their versions, however many nodes there are.
package ledger

import (
	"fmt"
	"strconv"
	"strings"

	"rollcall/internal/presence/status"
	"rollcall/models"
)

// Parse reads what the scripts write as text; it is what is published, too. Its errors, which are
// logged, have nothing of the user's ID and custom status.
func Parse(text string) (*status.Record, error) {
	fields := strings.SplitN(text, " ", 9)
	if len(fields) != 9 {
		return nil, fmt.Errorf("a record has %d fields, want 9", len(fields))
	}
	var numbers [7]int64
	for i := range numbers {
		n, err := strconv.ParseInt(fields[i], 10, 64)
		if err != nil {
			return nil, fmt.Errorf("field %d of a record is no number", i)
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

// Cut says that devices of an account have been taken out of Redis and their
// links are to end.
type Cut struct {
	UserID int64
	// Reason is what Leave was given.
	Reason string
	// Revoked: the user may no longer be connected, so those that are arriving go
	// with the rest.
	Revoked bool
	Devices []string
}

// ParseCut reads what is published on CutChannel.
func ParseCut(text string) (Cut, error) {
	fields := strings.Fields(text)
	if len(fields) < 3 {
		return Cut{}, fmt.Errorf("%q is no cut", text)
	}
	id, err := strconv.ParseInt(fields[0], 10, 64)
	if err != nil {
		return Cut{}, fmt.Errorf("%q is no cut: %w", text, err)
	}
	return Cut{UserID: id, Reason: fields[1], Revoked: fields[2] == "1", Devices: fields[3:]}, nil
}

// device is a device's value in its account's hash, without the node.
func device(d models.Device) string {
	return string(d.Platform) + " " + strconv.FormatInt(int64(d.ConnectedAt), 10)
}

// parseDevice reads it with what is around it, and when it was added.
func parseDevice(id, value string) (d models.Device, added int64, err error) {
	fields := strings.Fields(value)
	if len(fields) != 4 {
		return d, 0, fmt.Errorf("%q is no device", value)
	}
	at, err := strconv.ParseInt(fields[2], 10, 64)
	if err != nil {
		return d, 0, fmt.Errorf("%q is no device: %w", value, err)
	}
	return models.Device{ID: id, Platform: models.Platform(fields[1]), ConnectedAt: models.Time(at)}, number(fields[3]), nil
}
