//! `postcall template list|show|create|update|delete`: what assistants can be made from.
//!
//! Templates are the installation's: these commands go to the database with the owner's connection.

use std::path::{Path, PathBuf};

use clap::{ArgGroup, Args, Subcommand};
use serde_json::{Value, json};
use store::{
    cache::Key,
    rules,
    templates::{self, Changes, Deleted, NewTemplate, Template},
    written::Written,
};

use super::{Failed, Format, installation::Installation, json_file, output, target::TargetArgs};
use crate::api::configuration;

const COLUMNS: [&str; 6] = ["slug", "name", "industry", "featured", "active", "version"];
/// In characters.
const LONGEST_NAME: usize = 200;
const LONGEST_INDUSTRY: usize = 100;
const LONGEST_DESCRIPTION: usize = 1000;

#[derive(Debug, Subcommand)]
pub(super) enum TemplateCommand {
    /// List all templates, also those that organizations do not see.
    List(ListArgs),
    /// Show a template.
    Show(OneArgs),
    /// Make a template.
    Create(CreateArgs),
    /// Change a template; what is not given stays as it is, and so do assistants made from it.
    Update(UpdateArgs),
    /// Delete a template that no assistant was made from.
    Delete(DeleteArgs),
}

#[derive(Debug, Args)]
pub(super) struct ListArgs {
    #[command(flatten)]
    target: TargetArgs,
    /// Form of the output.
    #[arg(short, long, value_enum, default_value = "table")]
    output: Format,
}

#[derive(Debug, Args)]
pub(super) struct OneArgs {
    #[command(flatten)]
    target: TargetArgs,
    /// Its name in URLs.
    slug: String,
    /// Form of the output.
    #[arg(short, long, value_enum, default_value = "table")]
    output: Format,
}

#[derive(Debug, Args)]
pub(super) struct CreateArgs {
    #[command(flatten)]
    of: OneArgs,
    /// Its name.
    #[arg(long)]
    name: String,
    /// What it does.
    #[arg(long, default_value = "")]
    description: String,
    /// Whom it is for, such as logistics.
    #[arg(long)]
    industry: Option<String>,
    /// A file with its configuration as a JSON object, `-` for stdin.
    #[arg(long, value_name = "FILE")]
    configuration_file: PathBuf,
    /// Show it first.
    #[arg(long)]
    featured: bool,
    /// Do not let organizations see it yet.
    #[arg(long)]
    inactive: bool,
}

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("given").required(true).multiple(true).args(["name", "description",
    "industry", "configuration_file", "featured", "active"]))]
pub(super) struct UpdateArgs {
    #[command(flatten)]
    of: OneArgs,
    /// Its name.
    #[arg(long)]
    name: Option<String>,
    /// What it does.
    #[arg(long)]
    description: Option<String>,
    /// Whom it is for.
    #[arg(long)]
    industry: Option<String>,
    /// A file with its configuration as a JSON object, `-` for stdin.
    #[arg(long, value_name = "FILE")]
    configuration_file: Option<PathBuf>,
    /// Whether to show it first.
    #[arg(long)]
    featured: Option<bool>,
    /// Whether organizations see it.
    #[arg(long)]
    active: Option<bool>,
}

#[derive(Debug, Args)]
pub(super) struct DeleteArgs {
    #[command(flatten)]
    of: OneArgs,
    /// Needed, because nothing brings it back.
    #[arg(long)]
    yes: bool,
}

pub(super) async fn run(command: TemplateCommand) -> Result<(), Failed> {
    match command {
        TemplateCommand::List(args) => list(&args).await,
        TemplateCommand::Show(args) => {
            let admin_url = Installation::of(&args.target)?.admin_url;
            let found =
                templates::any(&admin_url, &args.slug).await.map_err(anyhow::Error::from)?;
            let found = found.ok_or_else(|| args.unknown())?;
            output::object(args.output, &shown(&found));
            Ok(())
        }
        TemplateCommand::Create(args) => create(args).await,
        TemplateCommand::Update(args) => update(args).await,
        TemplateCommand::Delete(args) => delete(&args).await,
    }
}

async fn list(args: &ListArgs) -> Result<(), Failed> {
    let admin_url = Installation::of(&args.target)?.admin_url;
    let found = templates::all(&admin_url).await.map_err(anyhow::Error::from)?;
    let rows: Vec<Value> = found.iter().map(shown).collect();
    output::rows(args.output, &COLUMNS, &rows);
    Ok(())
}

async fn create(args: CreateArgs) -> Result<(), Failed> {
    let new = NewTemplate {
        slug: args.of.slug.clone(),
        name: args.name,
        industry_id: args.industry,
        is_featured: args.featured,
        is_active: !args.inactive,
        description: args.description,
        configuration: configuration(&args.configuration_file)?,
    };
    wrong("SLUG", rules::slug(&new.slug))?;
    check(Some(&new.name), new.industry_id.as_deref(), Some(&new.description))?;
    let installation = Installation::of(&args.of.target)?;
    let made = templates::create(&installation.admin_url, &new).await;
    // That there was none is kept, too.
    installation.forget(&args.of.key()).await?;
    args.of.written(made.map_err(anyhow::Error::from)?)
}

async fn update(args: UpdateArgs) -> Result<(), Failed> {
    let changes = Changes {
        name: args.name,
        industry_id: args.industry,
        is_featured: args.featured,
        is_active: args.active,
        description: args.description,
        configuration: args.configuration_file.as_deref().map(configuration).transpose()?,
    };
    check(changes.name.as_deref(), changes.industry_id.as_deref(), changes.description.as_deref())?;
    let installation = Installation::of(&args.of.target)?;
    let written = templates::update(&installation.admin_url, &args.of.slug, &changes).await;
    installation.forget(&args.of.key()).await?;
    args.of.written(written.map_err(anyhow::Error::from)?)
}

async fn delete(args: &DeleteArgs) -> Result<(), Failed> {
    if !args.yes {
        let text = "nothing brings the template back; if you mean it, add --yes".to_owned();
        return Err(Failed::Usage(text));
    }
    let installation = Installation::of(&args.of.target)?;
    let deleted = templates::delete(&installation.admin_url, &args.of.slug).await;
    installation.forget(&args.of.key()).await?;
    match deleted.map_err(anyhow::Error::from)? {
        Deleted::Done => {
            eprintln!("the template {} is gone", args.of.slug);
            Ok(())
        }
        Deleted::Unknown => Err(args.of.unknown()),
        Deleted::InUse => Err(Failed::Conflict(
            "assistants were made from it; `template update --active false` hides it".to_owned(),
        )),
    }
}

fn configuration(path: &Path) -> Result<Value, Failed> {
    configuration::check(json_file(path)?)
        .map_err(|rule| Failed::Usage(format!("the configuration {rule}")))
}

fn check(
    name: Option<&str>,
    industry: Option<&str>,
    description: Option<&str>,
) -> Result<(), Failed> {
    let line = |text: Option<&str>, longest| text.map_or(Ok(()), |text| rules::line(text, longest));
    wrong("--name", line(name, LONGEST_NAME))?;
    wrong("--industry", line(industry, LONGEST_INDUSTRY))?;
    let description = description.filter(|text| !text.is_empty());
    wrong("--description", line(description, LONGEST_DESCRIPTION))
}

fn wrong(argument: &str, checked: Result<(), String>) -> Result<(), Failed> {
    checked.map_err(|rule| Failed::Usage(format!("{argument} {rule}")))
}

impl OneArgs {
    fn written(&self, written: Written<Template>) -> Result<(), Failed> {
        match written {
            Written::Done(now) => {
                output::object(self.output, &shown(&now));
                Ok(())
            }
            Written::Taken => {
                Err(Failed::Conflict(format!("another template is called {}", self.slug)))
            }
            _ => Err(self.unknown()),
        }
    }

    /// What Redis keeps of it.
    fn key(&self) -> [Key; 1] {
        [Key::Template(self.slug.clone())]
    }

    fn unknown(&self) -> Failed {
        Failed::NotFound(format!("there is no template {}", self.slug))
    }
}

fn shown(template: &Template) -> Value {
    json!({
        "slug": template.slug,
        "name": template.name,
        "industry": template.industry_id,
        "featured": template.is_featured,
        "active": template.is_active,
        "description": template.description,
        "configuration": template.configuration,
        "version": template.version,
        "updated_at": template.updated_at,
    })
}
