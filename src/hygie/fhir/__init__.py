"""The FHIR R4 face: structures, search, HTTP. It translates names and never decides a right."""
