"""The command line `gan-space`; every command is one file here, see `app.COMMANDS`."""
