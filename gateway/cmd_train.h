/* `expertd train`: labelled prompts -> a weights file. Returns the exit status. */
#pragma once

int cmd_train(int argc, char **argv);
