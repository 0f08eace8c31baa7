package migrate

import (
	"errors"
	"fmt"
)

// losses counts how often in a row the connection was lost while the same file ran. The server answered in between, or
// the file would not have been begun again.
type losses struct {
	file  string
	times int
}

// manyLosses of one file are rarely a chance.
const manyLosses = 3

// countLoss is called when a connection was lost, before anything else is done.
func (r *run) countLoss() {
	now, _ := r.teller.moment()
	if now.Phase != Applying || now.File == "" || now.File != r.losses.file {
		r.losses = losses{}
	}
	if now.Phase != Applying || now.File == "" {
		return
	}
	r.losses.file = now.File
	if r.losses.times++; r.losses.times == manyLosses {
		r.Log.Warn("the connection was lost several times in a row while the same file ran: the file may end its own "+
			"session, or crash the server, whose log says more", "file", now.File, "times", r.losses.times)
	}
}

// blameLosses makes an error about a connection name the file at which it was lost again and again.
func (r *run) blameLosses(err error) error {
	connect, ok := errors.AsType[*ConnectError](err)
	if ok && r.losses.times >= manyLosses {
		connect.Next = fmt.Sprintf("The connection was lost %d times in a row while %s ran, and the server "+
			"answered in "+
			"between: see whether the file ends its own session (pg_terminate_backend) or crashes the server, "+
			"whose log "+
			"says more", r.losses.times, r.losses.file)
	}
	return err
}
