package console

// newPasswordPath is the page on which an operator replaces a temporary password.
const newPasswordPath = accountPath + "/new-password"

// newPasswordPage is the data of new_password.html.
type newPasswordPage struct {
	Path string
	passwordForm
}

func (c *console) askNewPassword(v *visit) error {
	if !v.operator.PasswordTemporary {
		return v.redirect(accountPath)
	}
	return c.show(v, "new_password", newPasswordPage{Path: newPasswordPath})
}

// setNewPassword changes the visitor's temporary password.
func (c *console) setNewPassword(v *visit) error {
	form, status, err := c.changeOwnPassword(v)
	if err != nil {
		return err
	}
	if status != 0 {
		return c.render(v, status, "new_password", newPasswordPage{newPasswordPath, form})
	}
	return v.redirect(c.takeWanted(v))
}
