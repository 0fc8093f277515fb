"""Floor 3: the gate. Who, acting for which tenant and environment, with which live habilitation; the only maker of permits."""
