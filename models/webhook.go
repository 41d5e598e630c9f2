package models

// EndpointState is whether events are delivered to a webhook endpoint.
type EndpointState string

// The states of an endpoint.
const (
	EndpointEnabled EndpointState = "ENABLED"
	// EndpointDisabled means that no events are recorded for the endpoint, and none are sent.
	EndpointDisabled EndpointState = "DISABLED"
	// EndpointDeleted means that only the endpoint's deliveries are left to be deleted.
	EndpointDeleted EndpointState = "DELETED"
)

// EndpointFormat is how the requests to an endpoint are written and signed.
type EndpointFormat string

// FormatRollcall is Standard Webhooks. There is no other format yet.
const FormatRollcall EndpointFormat = "rollcall"

// WebhookEndpoint is a URL of an App Server that receives events of its app.
type WebhookEndpoint struct {
	ID          int64 `gorm:"primaryKey"`
	AppID       int64
	URL         string
	Description string
	// EventTypes are the types that it receives, separated by commas, or "" for all except
	// presence.changed.
	EventTypes string
	Format     EndpointFormat
	// Secret signs deliveries, as it is stored; see token.Ring. PreviousSecret signs too until
	// PreviousSecretEndsAt, and is empty if there is none.
	Secret               []byte
	PreviousSecret       []byte
	PreviousSecretEndsAt Time
	State                EndpointState
	// StateReason is why the endpoint was disabled.
	StateReason string
	// FailingSince is when the first of the attempts failed that have all failed since, or 0.
	FailingSince Time
	// ResumeAt is when the endpoint is called again after it has failed.
	ResumeAt Time
	// LeaseUntil is until when, by the database's clock, the node that chose LeaseID sends to the
	// endpoint.
	LeaseUntil Time
	LeaseID    int64
	CreatedAt  Time `gorm:"autoCreateTime:false"`
}

// WebhookHour is how many attempts to reach an endpoint succeeded and failed in an hour.
type WebhookHour struct {
	EndpointID int64 `gorm:"primaryKey;autoIncrement:false"`
	BeginsAt   Time  `gorm:"primaryKey;autoIncrement:false"`
	Succeeded  int64
	Failed     int64
}

// Event is a change that App Servers are notified of.
type Event struct {
	ID int64 `gorm:"primaryKey"`
	// UID is a UUID, by which receivers recognize an event that is delivered again.
	UID   string
	AppID int64
	Type  string
	// Subject is the external ID of the user that the event is about, or "" if there is none.
	Subject string
	// Version increases with each event of a subject.
	Version    Time
	OccurredAt Time
	// Data is the JSON object `data` of the event, without the values in Personal.
	Data string
	// Personal is a JSON object with the values that are erased with the user, or nil.
	Personal *string
	// FeedNumber is the event's place in the feed of its app. Until the event is distributed it is
	// NotNumbered or, if it is not in the feed, NotInFeed; then it is nil if it is not in the feed. See
	// webhooks.Service.Events.
	FeedNumber *int64
	// Recipients are the webhook_endpoints.id, separated by commas, that the event is for. It is nil if
	// there are none, or if the event is distributed: then there are deliveries.
	Recipients *string
	// Traceparent is the span of the change (W3C Trace Context), or nil if it was not recorded.
	Traceparent *string
}

// The values of Event.FeedNumber until the event is distributed.
const (
	NotNumbered int64 = 0
	NotInFeed   int64 = -1
)

// EventFeed is the feed of an app that has been read, or whose events have been distributed. Its row is
// locked by those who distribute the events.
type EventFeed struct {
	AppID int64 `gorm:"primaryKey;autoIncrement:false"`
	// LastNumber is the number of the last event that was numbered.
	LastNumber int64
}

// EventUser is a user of which an event with several users has personal values.
type EventUser struct {
	ID      int64 `gorm:"primaryKey"`
	EventID int64
	AppID   int64
	// Subject is the external ID of the user.
	Subject    string
	OccurredAt Time
}

// DeliveryState is the progress of a delivery.
type DeliveryState string

// The states of a delivery.
const (
	DeliveryPending   DeliveryState = "PENDING"
	DeliveryDelivered DeliveryState = "DELIVERED"
	// DeliveryFailed means that all attempts have failed, or that the endpoint was disabled.
	DeliveryFailed DeliveryState = "FAILED"
)

// Delivery is an event for one endpoint.
type Delivery struct {
	ID         int64 `gorm:"primaryKey"`
	EndpointID int64
	EventID    int64
	State      DeliveryState
	// Attempts is how many attempts have ended.
	Attempts      int
	NextAttemptAt Time
	// ExpiresAt is when the delivery is deleted, or nil while it is pending.
	ExpiresAt *Time
	// LastStatus is the HTTP status of the last attempt, or 0 if there was no response. LastError
	// is the beginning of the response, or the reason why there was none; nil after a success.
	LastStatus int
	LastError  *string
	// LastMs is the duration of the last attempt in milliseconds.
	LastMs int
}
