"""The pages about policies: what holds, drafts, proposals, versions."""
