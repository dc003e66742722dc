// Package newsletter holds the words and the rules of dispatcher: items and their
// identity, lists and their topics, who may be mailed, signed links, the states of a
// delivery and what an outcome means for it.
//
// It does no I/O and imports the standard library and x/net/idna only. Every other
// internal package imports this one and no sibling; docs/architecture.md shows the star.
package newsletter

import "errors"

// Errors that callers branch on. They are wrapped with what was being done.
var (
	// ErrNotFound says that the thing asked for is not there.
	ErrNotFound = errors.New("not found")
	// ErrLocked says that another process holds the mailer's lock.
	ErrLocked = errors.New("locked by another process")
	// ErrTooLate says that something can no longer be done because its time is over.
	ErrTooLate = errors.New("too late")

	// ErrSlotTaken says that a slot has been dealt with: it has an edition or was skipped.
	ErrSlotTaken = errors.New("slot has been dealt with")
	// ErrFrozen says that an item is in an edition and does not change any more.
	ErrFrozen = errors.New("frozen in an edition: its words, link and topics stay, its deadline and urgency can still be set")
	// ErrReadersChanged says that an edition was not made since readers have joined or changed while it was put together.
	ErrReadersChanged = errors.New("readers have joined or changed while the edition was made; try again in a moment")
	// ErrListUsed says that a list cannot have an id, which has readers or editions of its own.
	ErrListUsed = errors.New("this id has readers or editions of its own")
	// ErrRenamed says that a list has another id now.
	ErrRenamed = errors.New("the list has been renamed")
	// ErrBadToken says that a signed link was not made by us, for this purpose.
	ErrBadToken = errors.New("link is not valid")
)
