"""The OAuth 2.0 face: where applications get an access token, look at it and end it. It decides no right."""
