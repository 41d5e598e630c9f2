package selection

// Names answers the fields that can be encoded directly.
func (t Type) Names() []string {
	names := make([]string, 0, len(t.fields))
	for name := range t.fields {
		names = append(names, name)
	}
	return names
}

// Kept answers how many operations have a plan, how many values those know, and
// how many fields are written in them.
func (x *Extension) Kept() (operations, values, fields int) {
	for _, p := range x.plans.Values() {
		p.known.Range(func(_, entries any) bool {
			for _, e := range entries.([]entry) {
				values++
				fields += e.value.count()
			}
			return true
		})
	}
	return x.plans.Len(), values, fields
}

func (v *value) count() int {
	if v == nil {
		return 0
	}
	n := len(v.members)
	for _, m := range v.members {
		n += m.value.count()
	}
	return n
}
