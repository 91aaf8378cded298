"""dataset -> camera simulation -> ink -> model file. `recipes` says what ships and how; `dense` fits and quantises."""
