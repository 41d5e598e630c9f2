package database

// Pairs describes a table whose rows say that a user has another one on its list. A package that owns
// such a table describes it to one that follows the lists, which can then read several of them in one
// query.
type Pairs struct {
	Table string
	// Owner and Other are the columns with the users.id of the list's owner and of the user on it.
	Owner, Other string
}

// Of returns the statement that reads who is on the lists of some owners, as columns owner_id,
// other_id and list. Its argument is the slice of the owners' users.id, and list is the number given
// here.
func (p Pairs) Of(list string) string {
	return "SELECT " + p.Owner + " AS owner_id, " + p.Other + " AS other_id, " + list + " AS list" +
		" FROM " + p.Table + " WHERE " + p.Owner + " IN ?"
}

// Among returns the statement that reads which users of a slice, its second argument, are on the list
// of the owner that is its first.
func (p Pairs) Among() string {
	return "SELECT " + p.Other + " FROM " + p.Table + " WHERE " + p.Owner + " = ? AND " + p.Other + " IN ?"
}
