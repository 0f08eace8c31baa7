package pg

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"net"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/avtotpy/avtotpy/migrate/redact"
)

// The window bounds what is under way at once: enough to hide the round trips
// of a slow network, little enough that neither end has to hold much.
const (
	WindowMessages = 64
	windowBytes    = 1 << 20
)

// A Message is one message of the simple protocol. Its parts are sent one after the other.
type Message struct {
	Before, SQL, After string
	KeepRows           bool // the Outcome has its first and its last row
}

// Size is the length of the message's text in bytes.
func (m Message) Size() int { return len(m.Before) + len(m.SQL) + len(m.After) }

// A Source has the messages of a pipeline. They are asked for in order, each when it is about to be sent.
type Source struct {
	Messages int
	Message  func(i int) Message
	Wrote    func() // called after each write to the connection; a large message takes many
	Window   int    // how many messages go ahead of their answers
}

// A Pipeline writes messages ahead of their answers. It is safe because each
// message begins its own transaction: when one fails, its aborted transaction (or,
// when it failed before BEGIN, the missing ledger row before theirs) makes all
// later ones fail, until the reader has drained them.
type Pipeline struct {
	Source
	conn *pgconn.PgConn
	sent chan Sent

	mu       sync.Mutex
	room     sync.Cond
	messages int
	bytes    int
	stopped  bool
}

// A Sent is a message that is under way.
type Sent struct {
	Index int
	Message
}

// Send begins to send messages. The caller has to receive the answer to each that comes out of Sent, until that is
// closed.
func Send(conn *pgconn.PgConn, source Source) *Pipeline {
	p := &Pipeline{Source: source, conn: conn, sent: make(chan Sent, source.Messages)}
	p.room.L = &p.mu
	go p.write()
	return p
}

// Sent are the messages that were sent, or may have been; it is closed after the last one.
func (p *Pipeline) Sent() <-chan Sent { return p.sent }

// noting calls a function after each write.
type noting struct {
	net.Conn
	wrote func()
}

func (n noting) Write(b []byte) (int, error) {
	written, err := n.Conn.Write(b)
	n.wrote()
	return written, err
}

// write runs at the same time as the reader: if the two took turns, a server that cannot get
// rid of its answers and a client that cannot get rid of its questions would wait
// for each other.
func (p *Pipeline) write() {
	defer close(p.sent)
	out := bufio.NewWriterSize(noting{p.conn.Conn(), p.Wrote}, 64<<10)
	for i := range p.Messages {
		m := p.Message(i)
		if p.full(m.Size()) && out.Flush() != nil {
			break
		}
		if !p.take(m.Size()) {
			break
		}
		p.sent <- Sent{i, m}
		if writeQuery(out, m) != nil {
			break
		}
	}
	if out.Flush() != nil {
		p.Close() // so that the reader learns of it, too
	}
}

// writeQuery writes one Query message (PostgreSQL documentation, "Message
// Formats") without first gluing its parts together: a file may have 50 MB.
func writeQuery(out *bufio.Writer, m Message) error {
	length := uint32(4 + m.Size() + 1) //nolint:gosec // Load refuses files that do not fit
	header := binary.BigEndian.AppendUint32([]byte{'Q'}, length)
	_, err := out.Write(header)
	for _, part := range []string{m.Before, m.SQL, m.After} {
		// In pieces, because a Writer would hand a long string on as one copy.
		for ; err == nil && part != ""; part = part[min(len(part), out.Size()):] {
			_, err = out.WriteString(part[:min(len(part), out.Size())])
		}
	}
	if err != nil {
		return err
	}
	return out.WriteByte(0)
}

func (p *Pipeline) full(size int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.noRoom(size)
}

// noRoom lets one message through however large it is.
func (p *Pipeline) noRoom(size int) bool {
	return p.messages > 0 && (p.messages >= p.Window || p.bytes+size > windowBytes)
}

// take waits for room and reports false when nothing more is to be sent.
func (p *Pipeline) take(size int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for !p.stopped && p.noRoom(size) {
		p.room.Wait()
	}
	if p.stopped {
		return false
	}
	p.messages++
	p.bytes += size
	return true
}

func (p *Pipeline) answered(size int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.messages--
	p.bytes -= size
	p.room.Signal()
}

// Stop keeps what was not sent yet from being sent.
func (p *Pipeline) Stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stopped = true
	p.room.Signal()
}

// Cancel asks the server to cancel what it runs.
func (p *Pipeline) Cancel(ctx context.Context) {
	limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	_ = p.conn.CancelRequest(limited) // the caller sees whether it had an effect
}

// Close breaks the connection.
func (p *Pipeline) Close() { _ = p.conn.Conn().Close() }

// An Outcome is how the server answered one message.
type Outcome struct {
	Err       *pgconn.PgError
	Raw       *pgconn.PgError // Err before values were taken out of it, to find out who is to blame; not to be shown
	Completed int             // statements that succeeded before Err
	Tag       string          // what the server said of the statement that was asked for

	First, Last []byte // the first column of the first and the last row that came, where they are to be kept
}

// keep keeps a row. The last one is copied over the one before it, for a file may return many.
func (o *Outcome) keep(row *pgproto3.DataRow) {
	if len(row.Values) == 0 {
		return
	}
	if o.First == nil {
		o.First = bytes.Clone(row.Values[0])
	}
	o.Last = append(o.Last[:0], row.Values[0]...)
}

// Receive waits for the whole answer to one message; tagged is the number of a statement, from 1 on. It does not end
// with the caller's context: a caller that wants it to end asks the server to cancel it, so that the outcome is
// known.
func (p *Pipeline) Receive(ctx context.Context, m Sent, tagged int) (Outcome, error) {
	ctx = context.WithoutCancel(ctx)
	var o Outcome
	for {
		msg, err := p.conn.ReceiveMessage(ctx)
		if err != nil {
			return o, &ConnLostError{Err: err}
		}
		switch msg := msg.(type) {
		case *pgproto3.DataRow:
			if m.KeepRows {
				o.keep(msg)
			}
		case *pgproto3.CommandComplete:
			if o.Completed++; o.Completed == tagged {
				o.Tag = string(msg.CommandTag)
			}
		case *pgproto3.EmptyQueryResponse:
			o.Completed++
		case *pgproto3.ErrorResponse:
			if o.Err == nil {
				o.Raw = pgconn.ErrorResponseToPgError(msg)
				o.Err = redact.Server(o.Raw, m.SQL) // the one place where errors of files come in
			}
		case *pgproto3.ReadyForQuery:
			p.answered(m.Size())
			return o, nil
		}
	}
}
