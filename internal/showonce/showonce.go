// Package showonce shows a new secret before the change that makes it is committed.
package showonce

import "fmt"

// Showing shows a new secret in the transaction that stores its hash, as the last step
// before the commit: a secret that its reader did not get must not replace the old one.
// The zero value shows nothing.
type Showing struct {
	Show func() error

	shown bool
	err   error // what show returned
}

// Now shows the secret. The transaction may be run again, for the same secret; what has
// been shown is not repeated.
func (s *Showing) Now() error {
	if s.Show == nil || s.shown {
		return nil
	}
	s.shown = true
	s.err = s.Show()
	return s.err
}

// Explain adds to err, the transaction's, what a reader of the output must know.
func (s *Showing) Explain(err error) error {
	switch {
	case err == nil || !s.shown:
		return err
	case s.err != nil:
		return fmt.Errorf("%w; nothing was changed", err)
	}
	return fmt.Errorf("%w; do not use what was printed", err)
}
