"""What a file of records may be at most, each with its unit and its reason."""

from __future__ import annotations

from hygie.registers.engine import RECORDS_MAX

MIB = 1024 * 1024
FILE_BYTES_MAX = 64 * MIB  # 100,000 records of 600 characters; it is read in memory
ROWS_MAX = RECORDS_MAX  # rows of a table: what one call of the engine takes
LINES_MAX = 2 * ROWS_MAX  # of a sheet, empty ones included: a cell on the last line of all would cost half a minute
COLUMNS_MAX = 200  # more than twice the fields of the widest register
CELL_CHARACTERS_MAX = 32_767  # of a cell: what a spreadsheet holds; a long text of a record is 20,000 at most
UNPACKED_BYTES_MAX = 512 * MIB  # of a workbook once inflated: 100,000 rows of 200 short cells are some 400 MiB
MEMBERS_MAX = 1_000  # files of a workbook: a few for each sheet
RATIO_MAX = 200  # inflated bytes of a workbook's file for one packed: repeated rows reach some 60, a bomb 1,000
RATIO_FROM_BYTES = MIB  # small files of styles may repeat themselves
FAULTS_MAX = 200  # told at once: more, and the file is of another register
PDF_RECORDS_MAX = 2_000  # some 400 pages, for which Typst takes 0.9 GiB of memory (measured); beyond, nobody reads
