package operators

import (
	"fmt"
	"slices"
	"strings"

	"gorm.io/gorm"

	"rollcall/internal/fault"
	"rollcall/models"
)

// MaxNamedApps is the maximum number of apps that a grant may name. Their keys fit into the detail of
// an audit entry.
const MaxNamedApps = 40

// prepareGrant sorts the apps of a new grant and returns the detail of its audit entry. Returns
// INVALID_ARGUMENT for an unknown role, and for the field apps: for an owner that is not for all
// apps (rule owner), if the grant names no app or apps beside all of them (rule required), more
// than MaxNamedApps (rule max), or an unknown one (rule exists).
func prepareGrant(tx *gorm.DB, grant *models.Grant) (detail string, err error) {
	if err := checkGrant(*grant); err != nil {
		return "", err
	}
	detail = "role=" + string(grant.Role)
	// A new slice, because the transaction may be run again.
	ids := slices.Clone(grant.AppIDs)
	slices.Sort(ids)
	grant.AppIDs = slices.Compact(ids)
	switch {
	case grant.AllApps:
		return detail, nil
	case len(grant.AppIDs) > MaxNamedApps:
		return "", fault.Invalid("apps", "max", "an operator can be for at most %d named apps", MaxNamedApps)
	}
	var keys []string
	if err := tx.Model(&models.App{}).Where("id IN ?", []int64(grant.AppIDs)).Order("id").Pluck("key", &keys).Error; err != nil {
		return "", fmt.Errorf("reading apps: %w", err)
	}
	if len(keys) != len(grant.AppIDs) {
		return "", fault.Invalid("apps", "exists", "one of the apps does not exist")
	}
	return detail + " apps=" + strings.Join(keys, ","), nil
}

// checkGrant is the part of prepareGrant that needs no database.
func checkGrant(grant models.Grant) error {
	switch {
	case !slices.Contains(models.Roles(), grant.Role):
		return fault.Invalid("role", "oneof", "role must be viewer, moderator, admin or owner")
	case grant.AllApps == (len(grant.AppIDs) > 0):
		return fault.Invalid("apps", "required", "an operator is either for all apps or for named ones")
	case grant.Role == models.RoleOwner && !grant.AllApps:
		return fault.Invalid("apps", "owner", "an owner is always for all apps")
	}
	return nil
}

// sameGrant reports whether the grants, which are prepared, permit the same.
func sameGrant(a, b models.Grant) bool {
	return a.Role == b.Role && a.AllApps == b.AllApps && slices.Equal(a.AppIDs, b.AppIDs)
}
