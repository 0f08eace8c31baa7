package pgtest

import "time"

// PollFor is Poll with another patience.
func PollFor(patience time.Duration, what string, done func() error) error {
	return poll(what, patience, done)
}
