"""Its being here puts this folder on the path, so that the consumers' own folders can `import fake_topics`."""
