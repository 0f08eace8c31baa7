package auth

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/avtotpy/avtotpy/internal/store"
)

// An EventKind says what happened.
type EventKind string

// The kinds of events. Those of a password or token come with the Use that it was for.
const (
	EventOK        EventKind = "ok"        // the password or token was right
	EventWrong     EventKind = "wrong"     // the password or token was wrong, or there is no such name
	EventThrottled EventKind = "throttled" // refused before it was checked: too many attempts
	EventBusy      EventKind = "busy"      // refused before it was checked: too many wait for a check
	EventOutdated  EventKind = "outdated"  // right when it was checked, but the password was changed in the meantime

	EventCrossOrigin EventKind = "cross-origin" // a request that another site caused
	EventNoOrigin    EventKind = "no-origin"    // a request with a cookie that does not say which site caused it
	EventWrongHost   EventKind = "wrong-host"   // a request for another host name
	EventUnknownID   EventKind = "unknown-id"   // an id of another user's, or of nothing: the two look the same
	EventRate        EventKind = "rate"         // refused: a user asks for too much at once
	EventOverload    EventKind = "overload"     // refused: the server has too much to do at once
	EventTooLarge    EventKind = "too-large"    // refused: more than anything here takes
	EventForwarded   EventKind = "forwarded"    // a proxy's header from an address that is not a trusted proxy's

	EventDistrusted EventKind = "distrusted" // a row of the database is not what this program wrote
)

// A Use is what a password or token is checked for.
type Use string

// The uses. Each has throttles of its own.
const (
	UseNone     Use = ""
	UseLogin    Use = "login"
	UseSetup    Use = "setup"
	UsePassword Use = "password" // to change it
	UseUnlock   Use = "unlock"   // of a session that was locked because it was idle
	UseStepUp   Use = "step-up"  // before something that cannot be taken back
)

// Checks returns the kinds of events of a password or token that was asked for.
func Checks() []EventKind {
	return []EventKind{EventOK, EventWrong, EventThrottled, EventBusy, EventOutdated}
}

// Requests returns the kinds of events of any request.
func Requests() []EventKind {
	return []EventKind{
		EventCrossOrigin, EventNoOrigin, EventWrongHost, EventUnknownID, EventRate, EventOverload, EventTooLarge,
		EventForwarded,
	}
}

// Rows returns the kinds of events of rows of the database.
func Rows() []EventKind { return []EventKind{EventDistrusted} }

// Uses returns what passwords and tokens are checked for.
func Uses() []Use { return []Use{UseLogin, UseSetup, UsePassword, UseUnlock, UseStepUp} }

// An Event is something about security that metrics, the log and the audit log may want to know.
// It holds no password, no token, and no unknown name: people type passwords into the wrong field.
type Event struct {
	Kind  EventKind
	Use   Use
	User  store.User // whom it is about; the zero User when the name is unknown, or no user asked
	Row   uuid.UUID  // of EventDistrusted
	From  store.Origin
	Wait  time.Duration // of EventThrottled and EventBusy: how long to wait
	Known bool          // whether the request came from a device from which this user has logged in before
}

// Events are handed to a function, which must not block. Nil drops them.
type Events func(context.Context, Event)

func (e Events) emit(ctx context.Context, event Event) {
	if e != nil {
		e(ctx, event)
	}
}
