package presence

import "rollcall/internal/fanout"

// Event is one user's status at the moment it changed (or, as a snapshot, when a
// watch began): its Key is the users.id, its Value a *models.UserStatus.
type Event = fanout.Event

// Sink takes the events of one subscription operation.
type Sink = fanout.Sink
