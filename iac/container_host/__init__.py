"""Any container host: the front's configuration and a compose file, made of the chalicefile and the image's digest."""
