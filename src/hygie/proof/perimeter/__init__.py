"""The perimeter: services, activities, actors, sites; who certifies each layer, what applies, what may go to
production, and what runs beside what was declared.
"""
