package database

import "strings"

// Columns lists the columns of a model's table for a SELECT, each named with the prefix. GORM needs
// that to fill a struct that embeds the model.
func Columns(table, prefix string, model any) string {
	parsed := parse(model)
	list := make([]string, 0, len(parsed.DBNames))
	for _, name := range parsed.DBNames {
		list = append(list, table+".`"+name+"` AS "+prefix+name)
	}
	return strings.Join(list, ", ")
}
