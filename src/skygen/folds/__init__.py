"""As many folds as there are fields: each field tests once, so that no result hangs on the luck of one field."""
