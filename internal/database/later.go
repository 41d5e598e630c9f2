package database

import (
	"gorm.io/gorm"
	"gorm.io/gorm/clause"
)

// Later returns an expression that sets a column of times to at, or to one millisecond after its
// value if that is not before at. So the column increases even if clocks were set back or differ.
func Later(column string, at any) clause.Expr {
	return gorm.Expr("CASE WHEN "+column+" >= ? THEN "+column+" + 1 ELSE ? END", at, at)
}
