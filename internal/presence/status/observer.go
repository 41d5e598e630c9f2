package status

// Observer is notified of the changes of statuses that this node has made. Its methods are called while
// locks are held, so they must return at once.
type Observer interface {
	// Wants reports whether changes of the app's users must be passed to Changed.
	Wants(appID int64) bool
	// Changed is called after each change. It must not keep r. In a cluster, changes of one user may
	// arrive in another order than they were made; r.Since and r.CustomSince tell.
	Changed(r *Record)
}

// NoObserver wants nothing.
type NoObserver struct{}

// Wants returns false.
func (NoObserver) Wants(int64) bool { return false }

// Changed does nothing.
func (NoObserver) Changed(*Record) {}

// Notify passes a change to o if it wants it.
func Notify(o Observer, r *Record) {
	if o.Wants(r.AppID) {
		o.Changed(r)
	}
}
