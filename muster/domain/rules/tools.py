"""The tools of coding assistants, by their names: what each does, and where it says on which file."""

from __future__ import annotations

from typing import Any

from muster.domain.rules.acts import Kind
from muster.domain.rules.json import line_of

TOOLS: dict[str, Kind] = {
    name: kind
    for kind, names in {
        Kind.READ: "read readfile read_file view view_file cat open_file notebookread read_many_files get_file",
        Kind.SEARCH: "grep glob ls list list_dir list_directory search_files codebase_search grep_search find "
        "file_search search_file_content toolsearch semanticsearch",
        Kind.EDIT: "edit multiedit write write_file edit_file notebookedit replace str_replace str_replace_editor "
        "str_replace_based_edit_tool apply_patch applypatch create_file search_replace insert delete_file patch "
        "replace_in_file write_to_file apply_diff strreplace",
        Kind.COMMAND: "bash shell run run_command run_shell_command run_terminal_cmd execute execute_command exec "
        "terminal local_shell exec_command shell_command powershell container.exec",
        Kind.WEB: "webfetch websearch web_fetch web_search fetch google_web_search browse search_web",
        Kind.DELEGATION: "task agent agents spawn_agent subagent subagents delegate delegate_to_agent delegate_task "
        "runsubagent run_subagent new_task dispatch_agent call_agent use_subagents codebase_investigator",
        Kind.PLAN: "todowrite update_plan todo_write write_todos taskcreate task_create taskupdate task_update "
        "exitplanmode exit_plan_mode",
        Kind.CHOICE: "askuserquestion ask_user_question ask_followup_question ask_user ask_question ask_questions "
        "askquestions request_user_input question askquestion",
    }.items()
    for name in names.split()
}
IDLE_TOOLS = frozenset(
    """
    bashoutput killshell killbash todoread taskoutput taskstop tasklist taskget sleep wait enterplanmode
    listmcpresourcestool skill slashcommand write_stdin
    wait_agent wait_agents close_agent resume_agent send_input followup_task list_agents agentoutput agentoutputtool
    search_tool_bm25 skill_discovery activate_skill
    """.split()  # noqa: SIM905
)
PATHS = ("file_path", "filePath", "path", "absolute_path", "target_file", "notebook_path", "filename", "file",
          "relative_workspace_path", "paths", "file_paths", "files")  # fmt: skip


def tool_name(payload: dict[str, Any], kind: str) -> str:
    for key in ("tool_name", "toolName", "tool"):
        if isinstance(name := payload.get(key), str) and name.strip():
            return line_of(payload, key)[:100]
    if "tool" in kind or kind in ("function_call", "action"):
        for key in ("name", "function", "action"):
            if isinstance(name := payload.get(key), str) and name.strip():
                return line_of(payload, key)[:100]
    if isinstance(payload.get("command"), str | list) and ("exit_code" in payload or "exitCode" in payload
                                                           or "stdout" in payload or "output" in payload
                                                           or kind in ("command", "shell", "bash")):  # fmt: skip
        return "Bash"
    plain = ("edit", "write", "read", "command", "bash", "file_edit", "file_write", "file_read")
    if kind in plain and any(key in payload for key in (*PATHS, "command")):
        return kind.removeprefix("file_")
    return ""
