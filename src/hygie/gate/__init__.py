"""Floor 3: the gate. Who, for which tenant and environment, by which live habilitation; the only maker of permits."""
