//! Conditions and queries: what they may say, and working them out.

use std::path::Path;
use std::sync::Arc;

use arrow::array::{Array, AsArray, BooleanArray, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::DFSchema;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::error::DataFusionError;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::context::SQLOptions;
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan, Volatility};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::prelude::{ParquetReadOptions, SessionConfig, SessionContext, col};

use crate::budget::Budget;
use crate::error::Result;
use crate::session::session;
use crate::source::error::SourceError;

/// A condition on a source's own columns.
#[derive(Clone)]
pub struct Condition {
    text: String,
    context: SessionContext,
}

/// A condition that is ready for rows of one schema.
pub(crate) struct Ready {
    text: String,
    expression: Arc<dyn PhysicalExpr>,
}

impl Condition {
    pub fn new(text: &str) -> Self {
        let mut config = SessionConfig::new();
        config.options_mut().sql_parser.enable_ident_normalization = false;
        Self { text: text.to_owned(), context: SessionContext::new_with_config(config) }
    }

    fn refuse(&self, cause: &DataFusionError) -> SourceError {
        SourceError::Condition { condition: self.text.clone(), cause: worded(cause) }
    }

    fn parse(&self, schema: &DFSchema) -> Result<Expr> {
        let expression =
            self.context.parse_sql_expr(&self.text, schema).map_err(|error| self.refuse(&error))?;
        if let Some(cause) = not_repeatable(&expression) {
            return Err(SourceError::Condition { condition: self.text.clone(), cause }.into());
        }
        Ok(expression)
    }

    /// The columns that it speaks of, among those that there are.
    pub(crate) fn columns(&self, available: &[String]) -> Result<Vec<String>> {
        let fields: Vec<Field> =
            available.iter().map(|name| Field::new(name, DataType::Utf8, true)).collect();
        let schema = DFSchema::try_from(Schema::new(fields)).map_err(|error| self.refuse(&error))?;
        let expression = self.parse(&schema)?;
        let mut names: Vec<String> =
            expression.column_refs().into_iter().map(|column| column.name.clone()).collect();
        names.sort();
        Ok(names)
    }

    /// Readies it for rows of a schema.
    pub(crate) fn ready(&self, schema: &SchemaRef) -> Result<Ready> {
        let schema = DFSchema::try_from(schema.as_ref().clone()).map_err(|error| self.refuse(&error))?;
        let expression = self.parse(&schema)?;
        let found = expression.get_type(&schema).map_err(|error| self.refuse(&error))?;
        if found != DataType::Boolean && found != DataType::Null {
            let cause = format!("it gives {found}, and a condition gives true or false");
            return Err(SourceError::Condition { condition: self.text.clone(), cause }.into());
        }
        let expression =
            self.context.create_physical_expr(expression, &schema).map_err(|error| self.refuse(&error))?;
        Ok(Ready { text: self.text.clone(), expression })
    }
}

impl Ready {
    /// For each row true, false, or unknown.
    pub fn evaluate(&self, batch: &RecordBatch) -> Result<BooleanArray> {
        let refused = |error: DataFusionError| SourceError::Condition {
            condition: self.text.clone(),
            cause: worded(&error),
        };
        let value = self.expression.evaluate(batch).map_err(refused)?;
        let array = value.into_array(batch.num_rows()).map_err(refused)?;
        match array.data_type() {
            DataType::Boolean => Ok(array.as_boolean().clone()),
            _ => Ok(BooleanArray::new_null(batch.num_rows())),
        }
    }
}

/// Checks a condition as far as can be without the source's columns.
pub fn check_condition(text: &str) -> Result<()> {
    match Condition::new(text).columns(&[]) {
        Err(crate::Error::Source(SourceError::Condition { cause, .. }))
            if cause.contains("No field named") =>
        {
            Ok(())
        }
        other => other.map(drop),
    }
}

/// What a function would have to be for a result to be the same tomorrow: in a message, the one that is not.
fn not_repeatable(expression: &Expr) -> Option<String> {
    let mut found = None;
    let _ = expression.apply(|part| {
        let (name, volatility) = match part {
            Expr::ScalarFunction(call) => (call.func.name().to_owned(), call.func.signature().volatility),
            Expr::AggregateFunction(call) => (call.func.name().to_owned(), call.func.signature().volatility),
            _ => return Ok(TreeNodeRecursion::Continue),
        };
        if volatility != Volatility::Immutable {
            found = Some(format!(
                "`{name}()` gives another answer each time, and the same inputs have to give the same rows; write a fixed time, or use `window`"
            ));
            return Ok(TreeNodeRecursion::Stop);
        }
        Ok(TreeNodeRecursion::Continue)
    });
    found
}

/// An error of the query engine, without its internals.
pub(crate) fn worded(error: &DataFusionError) -> String {
    let text = error.strip_backtrace();
    let text = text
        .trim_start_matches("Error during planning: ")
        .trim_start_matches("Schema error: ")
        .trim_start_matches("SQL error: ");
    text.trim().to_owned()
}

/// A `SELECT` over named tables.
pub struct Query {
    context: SessionContext,
    text: String,
}

impl Query {
    /// A query whose tables are still to be named.
    pub fn new(text: &str, budget: &Budget) -> Result<Self> {
        let context = session(budget)?;
        let state = context.state_ref();
        {
            let mut state = state.write();
            let options = state.config_mut().options_mut();
            options.sql_parser.enable_ident_normalization = false;
            // One partition: the order in which fractions are added must not depend on the number of threads.
            options.execution.target_partitions = 1;
        }
        Ok(Self { context, text: text.to_owned() })
    }

    /// Names a table: a folder of Parquet files.
    pub async fn table(&self, name: &str, folder: &Path, schema: &SchemaRef) -> Result<()> {
        let options = ParquetReadOptions::default().schema(schema);
        let path = format!("{}/", folder.display());
        self.context.register_parquet(name, path, options).await.map_err(|error| self.refuse(&error))?;
        Ok(())
    }

    /// Runs the query; the rows come in the order of all their columns, from the first on.
    ///
    /// # Errors
    /// It is no `SELECT`, speaks of what is not there, or has a function that gives another answer each time.
    pub async fn run(&self) -> Result<SendableRecordBatchStream> {
        let plan = self
            .context
            .state()
            .create_logical_plan(&self.text)
            .await
            .map_err(|error| self.refuse(&error))?;
        let options =
            SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
        options.verify_plan(&plan).map_err(|error| self.refuse(&error))?;
        if let Some(cause) = plan_not_repeatable(&plan) {
            return Err(SourceError::Sql { cause }.into());
        }
        let frame = self.context.execute_logical_plan(plan).await.map_err(|error| self.refuse(&error))?;
        let order = frame.schema().columns().into_iter().map(|column| col(column).sort(true, true)).collect();
        let sorted = frame.sort(order).map_err(|error| self.refuse(&error))?;
        sorted.execute_stream().await.map_err(|error| self.refuse(&error).into())
    }

    pub fn refuse(&self, error: &DataFusionError) -> SourceError {
        SourceError::Sql { cause: worded(error) }
    }
}

fn plan_not_repeatable(plan: &LogicalPlan) -> Option<String> {
    let mut found = None;
    let _ = plan.apply_with_subqueries(|node| {
        let _ = node.apply_expressions(|expression| {
            found = found.take().or_else(|| not_repeatable(expression));
            Ok(TreeNodeRecursion::Continue)
        });
        Ok(if found.is_some() { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    });
    found
}
